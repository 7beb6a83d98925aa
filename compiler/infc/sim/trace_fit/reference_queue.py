"""What a fit is worth for planning: waits in one queue, under the trace and under its model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from infc.sim.arrivals import Times
from infc.sim.percentile import percentiles

LOAD = 0.7
"""Busy share of the server while the rate is at the model's peak."""
_PERCENTILE = 99.0


@dataclass(frozen=True, kw_only=True)
class ReferenceQueue:
    """99th percentile of the wait at one server with a fixed service time, busy `LOAD` of the time at the peak.

    `low_s` and `high_s` are the extremes over independent runs of the model, `model_s` their mean.
    """

    service_s: float
    trace_s: float
    model_s: float
    low_s: float
    high_s: float

    @property
    def ratio(self) -> float:
        """How much longer requests wait under the trace than under the model; a wait below 1% of a service is none."""
        least_s = 0.01 * self.service_s
        return max(self.trace_s, least_s) / max(self.model_s, least_s)


def waits_s(times_s: Times, service_s: float) -> Times:
    """Time that each request waits for one server that serves one after the other in `service_s`.

    Source: Lindley's recursion, solved by its running minimum.

    >>> waits_s(np.array([0.0, 1.0, 1.0]), 2.0).tolist()
    [0.0, 1.0, 3.0]
    """
    backlog_s = np.concatenate([[0.0], np.cumsum(service_s - np.diff(times_s))])
    return np.asarray(backlog_s - np.minimum.accumulate(backlog_s), dtype=np.float64)


def reference_queue(times_s: Times, peak_rps: float, simulated: Callable[[int], Times], seeds: int) -> ReferenceQueue:
    """The queue under the trace and under `seeds` runs of the model."""
    service_s = LOAD / peak_rps
    modelled = [_p99(simulated(seed), service_s) for seed in range(seeds)]
    return ReferenceQueue(
        service_s=service_s,
        trace_s=_p99(times_s, service_s),
        model_s=float(np.mean(modelled)),
        low_s=min(modelled),
        high_s=max(modelled),
    )


def _p99(times_s: Times, service_s: float) -> float:
    return percentiles(waits_s(times_s, service_s), (_PERCENTILE,))[0]
