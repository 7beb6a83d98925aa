"""Performance models: how long an execution takes, how much memory and power it needs.

`service_time` climbs the ladder measured > calibrated > analytic. Every coefficient of the analytic model lives in
`coefficients.json`, which `benchmarks/fit_perf.py` writes from the measurements in `benchmarks/data/`.
"""

from infc.perf.dla import dla_service_time, dla_throughput_per_s
from infc.perf.ladder import service_time
from infc.perf.memory import device_memory
from infc.perf.power import device_power
from infc.perf.support import Unsupported, unsupported_reason
from infc.perf.work import KernelWork, kernel_work

__all__ = [
    "KernelWork",
    "Unsupported",
    "device_memory",
    "device_power",
    "dla_service_time",
    "dla_throughput_per_s",
    "kernel_work",
    "service_time",
    "unsupported_reason",
]
