"""Service times: how long one execution of a batch takes on one instance."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from infc.ir.device_usage import DeviceUsage
from infc.ir.interval import Basis, Interval
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision

POWER_MODE = "power_mode"
"""Key of a profile's environment for the power mode of a Jetson module, by its name in the catalogue."""


@dataclass(frozen=True, kw_only=True)
class ServiceTimeCurve:
    """Seconds per execution for batch sizes 1..len(seconds) on an instance that runs alone on its device.

    Source of the number is `basis`; every entry carries its interval. Copies between host and device and
    the server's own per-execution cost are included.
    """

    seconds: tuple[Interval, ...]
    basis: Basis

    def at(self, batch_size: int) -> Interval:
        """The service time of a batch of `batch_size` (from 1)."""
        return self.seconds[batch_size - 1]

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The point values, index 0 is batch size 1."""
        return tuple(s.value for s in self.seconds)


@dataclass(frozen=True, kw_only=True)
class ServiceTimePoint:
    """One measured service time: median seconds of `executions` executions at this batch size and these axes.

    `seconds` are the host's, copies between host and device included. `device_s` are the device's own for the execution
    alone, `power_w` its mean draw meanwhile; None where they were not measured.
    """

    batch_size: int
    axes: Mapping[str, int]
    seconds: Interval
    executions: int
    device_s: Interval | None = None
    power_w: float | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceTimeProfile:
    """Measured service times of one model, precision and hardware; stored in `infc-profiles/`, read by the next plan.

    `instances` is how many instances ran at the same time. `environment` names what ran: server, engine, versions,
    device (no host name, no time). `usage` is what the device did meanwhile, None where nothing was sampled. `load_s`
    is how long the server took from its start until every instance was loaded, None where infc did not start it.
    """

    model_digest: str
    precision: Precision
    hardware_id: str
    engine_kind: str
    instances: int
    points: tuple[ServiceTimePoint, ...]
    environment: Mapping[str, str]
    usage: DeviceUsage | None = None
    load_s: float | None = None

    def is_of_mode(self, power_mode: str | None) -> bool:
        """Whether it holds for a device in this power mode: it was measured in it, or on a device without modes."""
        return self.environment.get(POWER_MODE, power_mode) == power_mode


@dataclass(frozen=True, kw_only=True)
class NeighbourMeasurement:
    """Measured service times of another model, with that model: they tell how fast a device is."""

    model: ModelProfile
    profile: ServiceTimeProfile
