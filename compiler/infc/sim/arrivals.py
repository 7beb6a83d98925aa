"""When requests arrive. The load generator sends at these very times: simulated and measured runs are comparable."""

from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, DiurnalArrival, PoissonArrival, TraceArrival

Times: TypeAlias = npt.NDArray[np.float64]
RESOLUTION_S = 1e-9
"""Times of a trace that are closer than this are one time: no clock tells them apart."""
PERIODS_IN_PHASE = 16
"""Periods after which constant senders of which there are several stand anew to each other.

Cameras keep their phase for hours and then have another, every device its own. A percentile is to hold over all of
them, not over the one that a seed happens to draw; within a phase each sender stays evenly spaced.
"""


def arrival_times_s(arrival: Arrival, rate_rps: float, count: int, seed: int) -> Times:
    """Arrival times of `count` requests at a mean rate of `rate_rps`, float64[count], ascending, from 0 on.

    A trace is replayed at the asked mean rate: in a loop when it is shorter than `count`, from the start of its busiest
    `count` requests when it is longer. A diurnal rate has its mean over whole periods, and the clock starts at the
    busiest part, so that a run shorter than a period sees the peak. Trace arrivals and a single constant sender use no
    seed.

    Raises:
        ValueError: the rate is not positive, or the trace has no timestamp.

    >>> arrival_times_s(ConstantArrival(), 4.0, 3, seed=0)
    array([0.25, 0.5 , 0.75])
    >>> arrival_times_s(TraceArrival(path="t.csv", timestamps_s=(0.0, 1.0, 1.5)), 2.0, 5, seed=0)
    array([0.        , 0.66666667, 1.        , 1.5       , 2.16666667])
    """
    if not rate_rps > 0.0:
        raise ValueError(f"an arrival rate must be positive, not {rate_rps}")
    match arrival:
        case ConstantArrival(streams=1):
            times_s = np.arange(1, count + 1) / rate_rps
        case ConstantArrival(streams=streams):
            times_s = _evenly_spaced(streams, count, seed) / rate_rps
        case PoissonArrival():
            times_s = np.cumsum(np.random.default_rng(seed).standard_exponential(count)) / rate_rps
        case BurstyArrival(cv=cv):
            times_s = _gamma_renewals(cv, count, seed) / rate_rps
        case DiurnalArrival():
            times_s = _diurnal(arrival, rate_rps, count, seed)
        case TraceArrival():
            times_s = _replayed(arrival, rate_rps, count)
        case _:
            assert_never(arrival)
    return np.asarray(times_s, dtype=np.float64)


def replayed_rows(trace: TraceArrival, count: int) -> npt.NDArray[np.intp]:
    """Which request of the trace each replayed one is, intp[count]: the rows that `arrival_times_s` replays.

    >>> replayed_rows(TraceArrival(path="t.csv", timestamps_s=(0.0, 5.0, 5.5)), 2)
    array([1, 2])
    """
    length = len(trace.timestamps_s)
    if length == 0:
        raise ValueError("a trace needs at least one timestamp")
    if length <= count:
        return np.arange(count, dtype=np.intp) % length
    return _busiest(np.asarray(trace.timestamps_s), count) + np.arange(count, dtype=np.intp)


def replayed_sizes(arrival: Arrival, column: str, count: int) -> npt.NDArray[np.int64] | None:
    """What a trace says of the size of each replayed request, int64[count]; None where it does not say.

    >>> replayed_sizes(TraceArrival(path="t.csv", timestamps_s=(0.0, 1.0), sizes={"batch": (4, 2)}), "batch", 3)
    array([4, 2, 4])
    """
    if not isinstance(arrival, TraceArrival) or column not in arrival.sizes:
        return None
    return np.asarray(arrival.sizes[column], dtype=np.int64)[replayed_rows(arrival, count)]


def _evenly_spaced(streams: int, count: int, seed: int) -> Times:
    """Events of several evenly spaced senders in uniformly random phases, at rate 1 in all.

    Sender `k` sends in period `j` at `j` plus its phase; after `PERIODS_IN_PHASE` periods all phases are drawn anew.
    """
    blocks = -(-count // (streams * PERIODS_IN_PHASE))
    phases = np.sort(np.random.default_rng(seed).random((blocks, 1, streams)), axis=2)
    periods = np.arange(blocks * PERIODS_IN_PHASE).reshape(blocks, PERIODS_IN_PHASE, 1)
    return np.asarray((periods + phases).reshape(-1)[:count] * streams, dtype=np.float64)


def _gamma_renewals(cv: float, count: int, seed: int) -> Times:
    """Events with gamma-distributed gaps of mean 1."""
    shape = 1.0 / cv**2
    return np.asarray(np.cumsum(np.random.default_rng(seed).standard_gamma(shape, count)) / shape, dtype=np.float64)


def _diurnal(arrival: DiurnalArrival, rate_rps: float, count: int, seed: int) -> Times:
    """Events of a stationary process, moved by the inverse of the expected count: the time change of its rate.

    Source: time-rescaling (Daley and Vere-Jones, An Introduction to the Theory of Point Processes, 7.4).
    """
    multipliers = np.asarray(arrival.multipliers, dtype=np.float64)
    part_s = arrival.period_s / len(multipliers)
    course = np.roll(multipliers, -int(multipliers.argmax()))
    expected = np.concatenate([[0.0], np.cumsum(course)]) * part_s * rate_rps
    unit = _gamma_renewals(arrival.cv, count, seed)
    periods, within = np.divmod(unit, expected[-1])
    knots_s = np.arange(len(expected)) * part_s
    return np.asarray(periods * arrival.period_s + np.interp(within, expected, knots_s))


def _busiest(timestamps_s: Times, count: int) -> int:
    """First of the `count` successive requests that took the least time."""
    if count < 2:
        return 0
    return int(np.argmin(timestamps_s[count - 1 :] - timestamps_s[: len(timestamps_s) - count + 1]))


def _replayed(trace: TraceArrival, rate_rps: float, count: int) -> Times:
    """The trace in a loop, with its mean gap between two rounds; its busiest part when it is longer than asked."""
    rows = replayed_rows(trace, count)
    timestamps_s = np.asarray(trace.timestamps_s, dtype=np.float64)
    length = len(timestamps_s)
    span_s = float(timestamps_s[-1] - timestamps_s[0])
    period_s = span_s * length / (length - 1) if span_s > RESOLUTION_S else 1.0
    looped = timestamps_s[rows] - timestamps_s[rows[0]] + period_s * (np.arange(count) // length)
    return np.asarray(looped * (length / rate_rps / period_s), dtype=np.float64)
