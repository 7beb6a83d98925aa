"""What is left of a device's silicon in the way it will run.

Power mode applied, sustained clocks under its power cap.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.hardware import Hardware, HardwareKind, PowerMode
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class DeviceLimits:
    """Peaks of one device as one instance sees it; None where the catalogue does not know a figure.

    An instance on a CPU runs one thread, so its peak is one core's; `parallel` instances fit side by side. On a GPU an
    instance can use all of the device.
    """

    hardware_id: str
    kind: HardwareKind
    architecture: str
    peak_flops: Mapping[Precision, float]
    bandwidth_bytes_per_s: float
    clock_hz: float | None
    tdp_w: float | None
    l2_bytes: float | None = None
    multiprocessors: float | None = None
    parallel: int = 1


def device_limits(hardware: Hardware, power_mode: str | None) -> DeviceLimits:
    """The limits of `hardware`, in `power_mode` when it is a Jetson module (None: the mode it boots in).

    Raises KeyError when the module has no such mode.
    """
    mode = find_power_mode(hardware, power_mode)
    if mode is None:
        cores = max(1, hardware.sm_count or 1) if hardware.kind == "cpu" else 1
        return DeviceLimits(
            hardware_id=hardware.id,
            kind=hardware.kind,
            architecture=hardware.architecture,
            peak_flops={precision: peak / cores for precision, peak in hardware.peak_flops.items()},
            bandwidth_bytes_per_s=hardware.memory_bandwidth_bytes_per_s,
            clock_hz=hardware.boost_clock_hz,
            tdp_w=hardware.tdp_w,
            l2_bytes=None if hardware.kind == "cpu" else hardware.l2_bytes,
            multiprocessors=hardware.sm_count,
            parallel=cores,
        )
    return DeviceLimits(
        hardware_id=hardware.id,
        kind=hardware.kind,
        architecture=hardware.architecture,
        peak_flops={**hardware.peak_flops, **mode.peak_flops},
        bandwidth_bytes_per_s=mode.memory_bandwidth_bytes_per_s,
        clock_hz=mode.clock_hz,
        tdp_w=mode.watts or hardware.tdp_w,
        l2_bytes=hardware.l2_bytes,
        multiprocessors=mode.sm_count,
    )


def find_power_mode(hardware: Hardware, name: str | None) -> PowerMode | None:
    """The named mode, the default mode when `name` is None, None for a device without modes."""
    if not hardware.power_modes:
        if name is not None:
            raise KeyError(name)
        return None
    for mode in hardware.power_modes:
        if mode.is_default if name is None else mode.is_named(name):
            return mode
    if name is None:
        return hardware.power_modes[0]
    raise KeyError(name)
