"""Rates that a trace reaches, and whether they move."""

import math
from dataclasses import dataclass

import numpy as np

from infc.sim.arrivals import Times
from infc.sim.percentile import percentiles
from infc.sim.trace_fit.goodness import window_counts

_WINDOWS_S = (1.0, 10.0, 60.0)
_FEWEST_WINDOWS = 10
_BLOCKS = 30
_SIGNIFICANT = 3.5
_LEAST_CHANGE = 0.1


@dataclass(frozen=True, kw_only=True)
class WindowRate:
    """Rates over successive windows of `window_s`: the 99th percentile and the largest, requests per second."""

    window_s: float
    p99_rps: float
    max_rps: float


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The rate of the last third of a trace over that of its first third; whether that is more than its noise."""

    ratio: float
    is_significant: bool


def window_rates(times_s: Times) -> tuple[WindowRate, ...]:
    """Rates over windows of 1, 10 and 60 seconds, where the trace has ten of them or more."""
    found = []
    for window_s in _WINDOWS_S:
        if times_s[-1] < _FEWEST_WINDOWS * window_s:
            continue
        rates = window_counts(times_s, window_s) / window_s
        (p99_rps,) = percentiles(rates, (99.0,))
        found.append(WindowRate(window_s=window_s, p99_rps=p99_rps, max_rps=float(rates.max())))
    return tuple(found)


def trend(times_s: Times) -> Trend:
    """How the rate changes from start to end.

    Significant is a straight line through the counts of thirty equal parts whose slope is 3.5 times its standard error
    or more (bursts count as noise), and a change of a tenth or more.
    """
    counts = np.diff(np.searchsorted(times_s, np.linspace(0.0, times_s[-1], _BLOCKS + 1), side="right"))
    early, late = (max(1.0, float(part.sum())) for part in (counts[: _BLOCKS // 3], counts[-(_BLOCKS // 3) :]))
    x = np.arange(_BLOCKS) - (_BLOCKS - 1) / 2.0
    slope = float((x * counts).sum() / (x**2).sum())
    residuals = counts - counts.mean() - slope * x
    error = math.sqrt(float((residuals**2).sum()) / (_BLOCKS - 2) / float((x**2).sum()))
    is_large = abs(math.log(late / early)) > math.log1p(_LEAST_CHANGE)
    return Trend(ratio=late / early, is_significant=is_large and abs(slope) > _SIGNIFICANT * error)
