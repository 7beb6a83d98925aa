"""When requests arrive. The load generator sends at these very times: simulated and measured runs are comparable."""

from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, PoissonArrival, TraceArrival

Times: TypeAlias = npt.NDArray[np.float64]


def arrival_times_s(arrival: Arrival, rate_rps: float, count: int, seed: int) -> Times:
    """Arrival times of `count` requests at a mean rate of `rate_rps`, float64[count], ascending, from 0 on.

    A trace is replayed in a loop, sped up or slowed down to the asked rate. Constant and trace arrivals use no seed.

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
        case ConstantArrival():
            times_s = np.arange(1, count + 1) / rate_rps
        case PoissonArrival():
            times_s = np.cumsum(np.random.default_rng(seed).standard_exponential(count)) / rate_rps
        case BurstyArrival(cv=cv):
            shape = 1.0 / cv**2
            times_s = np.cumsum(np.random.default_rng(seed).standard_gamma(shape, count)) / (shape * rate_rps)
        case TraceArrival(timestamps_s=timestamps_s):
            times_s = _replayed(np.asarray(timestamps_s, dtype=np.float64), rate_rps, count)
        case _:
            assert_never(arrival)
    return np.asarray(times_s, dtype=np.float64)


def _replayed(timestamps_s: Times, rate_rps: float, count: int) -> Times:
    """The trace in a loop; between two rounds lies the trace's mean gap."""
    length = len(timestamps_s)
    if length == 0:
        raise ValueError("a trace needs at least one timestamp")
    span_s = float(timestamps_s[-1] - timestamps_s[0])
    period_s = span_s * length / (length - 1) if span_s > 0.0 else 1.0
    rounds = -(-count // length)
    looped = ((timestamps_s - timestamps_s[0])[None, :] + period_s * np.arange(rounds)[:, None]).reshape(-1)[:count]
    return np.asarray(looped * (length / rate_rps / period_s), dtype=np.float64)
