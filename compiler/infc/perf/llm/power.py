"""Electrical power of a device that serves a language model."""

from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.perf.power import device_power


def device_power_w(hardware: Hardware, utilization: float, power_mode: str | None = None) -> Interval | None:
    """Watts of one device that runs steps `utilization` (0-1) of the time; None when its power cap is not known."""
    return device_power(hardware, utilization, power_mode)
