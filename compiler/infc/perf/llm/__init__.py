"""Language models: step times and power from a profile and a data sheet.

`step_time` gives the closed form that the batching simulator runs. Its coefficients live in `coefficients.json`, which
`benchmarks/fit_llm.py` writes from kernel tables and published server measurements.
"""

from infc.perf.llm.power import device_power_w
from infc.perf.llm.step_time import step_time

__all__ = ["device_power_w", "step_time"]
