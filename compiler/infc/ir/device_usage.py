"""What a device did while it was measured, from its own sensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

UsageSource: TypeAlias = Literal["nvml", "tegrastats"]


@dataclass(frozen=True, kw_only=True)
class DeviceUsage:
    """Sampled `samples` times over `seconds` in which instances ran; None where the device does not tell.

    `utilization` is the mean share of time in which a kernel ran, `memory_utilization` that in which device memory was
    read or written. `power_w` is the mean (from the energy counter where there is one), `energy_j` what was used.
    `memory_bytes` is the most that was in use, other programs' included. `slowdowns` are the reasons that held the
    clocks back, with the share of samples in which they did. `missing` names what the device refused to tell.
    """

    source: UsageSource
    samples: int
    seconds: float
    utilization: float | None = None
    memory_utilization: float | None = None
    power_w: float | None = None
    power_max_w: float | None = None
    energy_j: float | None = None
    memory_bytes: int | None = None
    clock_hz: float | None = None
    memory_clock_hz: float | None = None
    temperature_max_c: float | None = None
    slowdowns: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
