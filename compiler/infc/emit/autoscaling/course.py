"""How the rate runs over a day, as far as a spec says: what an autoscaler has to follow."""

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from infc.ir.arrival import DAY_S, BurstyArrival, ConstantArrival, DiurnalArrival, PoissonArrival, TraceArrival
from infc.ir.problem import Traffic

RISE_S = 1_800.0
"""How long traffic takes from its usual rate to its peak where the spec has no course of the day: an assumption."""
_HOLD_S = 3_600.0
_FEWEST_IN_PART = 400
"""Requests of a trace in a part of it: then chance moves the rate of a part by a twentieth."""
_MOST_PARTS = 288


@dataclass(frozen=True, kw_only=True)
class Course:
    """Rates at moments of a period that repeats; between two moments the rate runs straight. `words` say whence."""

    times_s: tuple[float, ...]
    rates_rps: tuple[float, ...]
    period_s: float
    words: str

    @property
    def lowest_rps(self) -> float:
        """The lowest rate."""
        return min(self.rates_rps)

    @property
    def highest_rps(self) -> float:
        """The highest rate."""
        return max(self.rates_rps)

    def at(self, times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The rate at each of the times, float64[n]."""
        return np.interp(times_s, self.times_s, self.rates_rps, period=self.period_s)

    def rises(self, within_s: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The rate at moments all over the period, and so many seconds later: float64[n] each."""
        times_s = np.linspace(0.0, self.period_s, 1_441)[:-1]
        return self.at(times_s), self.at(times_s + within_s)

    def growth(self, within_s: float) -> float:
        """By which factor the rate rises within so many seconds, at most; at least 1, infinite from nothing."""
        now, later = self.rises(within_s)
        if np.any((now <= 0.0) & (later > 0.0)):
            return math.inf
        return max(1.0, float(np.max(later[now > 0.0] / now[now > 0.0], initial=1.0)))


def course_of(traffic: Traffic) -> Course:
    """The course of the rate, up to the spec's peak.

    >>> from infc.ir.arrival import PoissonArrival
    >>> course = course_of(Traffic(arrival=PoissonArrival(), rate_rps=2.0, peak_rps=4.0, hourly=None, axes={}))
    >>> course.lowest_rps, course.highest_rps, course.growth(900.0)
    (2.0, 4.0, 1.5)
    """
    if traffic.hourly is not None:
        rates = [traffic.rate_rps * multiplier for multiplier in traffic.hourly]
        return _parts(rates, DAY_S, "workload.hourly", traffic.peak_rps)
    match traffic.arrival:
        case DiurnalArrival(multipliers=multipliers, period_s=period_s):
            return _parts([traffic.rate_rps * m for m in multipliers], period_s, "workload.arrival", traffic.peak_rps)
        case TraceArrival() as trace if rates := _trace_rates(trace, traffic.rate_rps):
            return _parts(rates, trace.timestamps_s[-1], f"the trace {trace.path}", traffic.peak_rps)
        case TraceArrival() | ConstantArrival() | PoissonArrival() | BurstyArrival():
            return _assumed(traffic)
        case _:
            assert_never(traffic.arrival)


def _parts(rates_rps: list[float], period_s: float, words: str, peak_rps: float) -> Course:
    """A course through the middle of equal parts; where the spec's peak is above all of them, the highest is raised."""
    part_s = period_s / len(rates_rps)
    top = max(range(len(rates_rps)), key=rates_rps.__getitem__)
    raised = [max(rate, peak_rps) if index == top else rate for index, rate in enumerate(rates_rps)]
    return Course(
        times_s=tuple((index + 0.5) * part_s for index in range(len(raised))),
        rates_rps=tuple(raised),
        period_s=period_s,
        words=words,
    )


def _trace_rates(trace: TraceArrival, rate_rps: float) -> list[float]:
    """The rate in equal parts of a trace at the asked mean rate; none where it is too short to have a course."""
    count = len(trace.timestamps_s)
    parts = min(_MOST_PARTS, count // _FEWEST_IN_PART)
    if parts < 3:
        return []
    counts, _ = np.histogram(trace.timestamps_s, bins=parts)
    return [float(each) * parts / count * rate_rps for each in counts]


def _assumed(traffic: Traffic) -> Course:
    """An hour at the usual rate, half an hour's rise, an hour at the peak, and back."""
    low, high = min(traffic.rate_rps, traffic.peak_rps), traffic.peak_rps
    times_s = (0.0, _HOLD_S, _HOLD_S + RISE_S, 2 * _HOLD_S + RISE_S)
    return Course(
        times_s=times_s,
        rates_rps=(low, low, high, high),
        period_s=2 * (_HOLD_S + RISE_S),
        words=f"assumed: from workload.rate to workload.peak in {RISE_S / 60:g} minutes",
    )
