"""Electrical power of a device at a utilisation."""

from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.perf.device import find_power_mode

IDLE_SHARE = 0.15
"""Idle power as a share of the cap where the catalogue has none.

An assumption: no card of the catalogue has a sourced idle power.
"""
SPREAD = 1.3
"""Half-width of the 90% interval as a factor: power at equal utilisation differs by model and clock."""


def device_power(
    hardware: Hardware, utilization: float, power_mode: str | None = None, busy_w: float | None = None
) -> Interval | None:
    """Watts of one device that is busy `utilization` (0-1) of the time; None when its cap is not known.

    Linear between idle and `busy_w`, which was measured with this model always running; None takes the power cap, an
    upper estimate for models that do not fill the matrix units.
    """
    mode = find_power_mode(hardware, power_mode)
    cap = mode.watts if mode is not None and mode.watts is not None else hardware.tdp_w
    if cap is None:
        return None
    most = cap if busy_w is None else min(busy_w, cap)
    idle = min(hardware.idle_w if hardware.idle_w is not None else IDLE_SHARE * cap, most)
    value = idle + (most - idle) * min(max(utilization, 0.0), 1.0)
    return Interval(value=value, low=max(idle, value / SPREAD), high=min(cap, value * SPREAD))
