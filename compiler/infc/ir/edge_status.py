"""What a device says of itself and of the releases on it: `edge.py status --format json`."""

from dataclasses import dataclass

from infc.ir.edge_acceptance import EdgeAcceptance, EdgeDevice


@dataclass(frozen=True, kw_only=True)
class InstallJournal:
    """What a run of the agent has reached, with the release that it brings (None: it takes one away).

    `is_under_way` False: the run was cut off, and the next one finishes or undoes it.
    """

    step: str
    release: str | None
    is_under_way: bool


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """The unit of a release; None where systemd or the server cannot be asked."""

    unit: str
    is_active: bool | None
    is_ready: bool | None


@dataclass(frozen=True, kw_only=True)
class EdgeDeployment:
    """The releases of one name on a device.

    `release` is the one in service (`7-0123456789ab`: version and start of the content digest), None when there is
    none. `engine_key_now` is the key that its engine would have if the device built it now. `rejected` is what was
    measured of the newest release that was rolled back since.
    """

    name: str
    release: str | None
    previous: str | None
    acceptance: EdgeAcceptance | None
    engine_key_now: str | None
    journal: InstallJournal | None
    service: ServiceState | None
    rejected: EdgeAcceptance | None


@dataclass(frozen=True, kw_only=True)
class DeviceStatus:
    """A device now. `agent` is the version of infc that the agent is of, `power_mode` what nvpmodel says."""

    agent: str
    device: EdgeDevice
    power_mode: str | None
    deployments: tuple[EdgeDeployment, ...]

    def deployment(self, name: str) -> EdgeDeployment | None:
        """The releases of this name; None when none was ever installed."""
        return next((each for each in self.deployments if each.name == name), None)
