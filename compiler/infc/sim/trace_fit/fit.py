"""Which arrival process a trace follows, how well, and what to plan with."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from infc.ir.arrival import (
    DAY_S,
    Arrival,
    BurstyArrival,
    ConstantArrival,
    DiurnalArrival,
    PoissonArrival,
    TraceArrival,
)
from infc.sim.arrivals import RESOLUTION_S, Times, arrival_times_s
from infc.sim.percentile import percentiles
from infc.sim.trace_fit.course import Course, find_course
from infc.sim.trace_fit.gamma import log_likelihood
from infc.sim.trace_fit.goodness import (
    Dispersion,
    autocorrelation,
    dispersions,
    gap_cv,
    ks_distance,
    ks_p_value,
)
from infc.sim.trace_fit.rates import Trend, WindowRate, trend, window_rates
from infc.sim.trace_fit.reference_queue import ReferenceQueue, reference_queue

FEWEST_REQUESTS = 100
CONSTANT_CV = 0.1
_MAX_CV = 20.0
_MOST_SIMULATED = 1_000_000
_SEEDS = 9
_DISPERSION_SEEDS = 3
_LARGEST_RATIO = 1.25
_LARGEST_DISPERSION = 1.5
_LARGEST_CORRELATION = 0.1
_LARGEST_DISTANCE = 0.1

Miss: TypeAlias = Literal["bursts", "evenness", "correlation", "shape", "waits"]


@dataclass(frozen=True, kw_only=True)
class FittedProcess:
    """One process, fitted: `bic` is its Bayesian information criterion, lower is better."""

    arrival: Arrival
    bic: float


@dataclass(frozen=True, kw_only=True)
class SizeSummary:
    """Sizes of the requests of a trace in one column."""

    column: str
    mean: float
    p50: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True, kw_only=True)
class Goodness:
    """How well the best process describes the trace. Gaps are those left when the rate's course is divided out."""

    ks_distance: float
    ks_p_value: float
    autocorrelation: float
    dispersions: tuple[Dispersion, ...]
    queue: ReferenceQueue
    misses: tuple[Miss, ...]

    @property
    def is_good(self) -> bool:
        """Whether a plan may use the process in place of the trace."""
        return not self.misses


@dataclass(frozen=True, kw_only=True)
class ArrivalFit:
    """A trace described: mean rate, variability of gaps, processes from best to worst, and how good the best is.

    `goodness` is None for traces of fewer than a hundred requests, which say too little. `recommended` is what a spec
    should name: the best process where it is good, else the trace. `peak_rps` is the rate to plan for besides: None
    where the recommended process holds its own peak.
    """

    trace: TraceArrival
    rate_rps: float
    span_s: float
    cv: float
    processes: tuple[FittedProcess, ...]
    goodness: Goodness | None
    windows: tuple[WindowRate, ...]
    trend: Trend
    sizes: tuple[SizeSummary, ...]
    recommended: Arrival
    peak_rps: float | None

    @property
    def best(self) -> Arrival:
        """The process that explains the gaps best."""
        return self.processes[0].arrival


def fit_arrivals(trace: TraceArrival, *, period_s: float = DAY_S) -> ArrivalFit:
    """Fit the arrival processes to a trace. Deterministic.

    Constant gaps are told by their variation; Poisson, bursty and diurnal processes compete by their likelihood, with a
    penalty for each fitted number. A rate that changes over `period_s` is considered when the trace covers a period.

    Raises:
        ValueError: the trace has fewer than two different times (closer than a nanosecond is not different).
    """
    times_s = np.asarray(trace.timestamps_s, dtype=np.float64)
    if len(times_s) < 2 or times_s[-1] < RESOLUTION_S:
        raise ValueError("a fit needs at least two requests at different times")
    rate_rps = (len(times_s) - 1) / float(times_s[-1])
    course = find_course(times_s, period_s, (trace.starts_at_s or 0.0) % period_s)
    processes = _processes(times_s, rate_rps, course)
    best = processes[0].arrival
    goodness = None
    if len(times_s) >= FEWEST_REQUESTS:
        goodness = _goodness(times_s, rate_rps, best, course)
    windows = window_rates(times_s)
    is_replay = goodness is None or not goodness.is_good
    return ArrivalFit(
        trace=trace,
        rate_rps=rate_rps,
        span_s=float(times_s[-1]),
        cv=gap_cv(np.diff(times_s)),
        processes=processes,
        goodness=goodness,
        windows=windows,
        trend=trend(times_s),
        sizes=tuple(_summary(column, sizes) for column, sizes in trace.sizes.items()),
        recommended=trace if is_replay else best,
        peak_rps=None if is_replay or isinstance(best, DiurnalArrival) else _peak_rps(windows, rate_rps, best),
    )


def _processes(times_s: Times, rate_rps: float, course: Course | None) -> tuple[FittedProcess, ...]:
    gaps = np.diff(times_s) * rate_rps
    cv = min(_MAX_CV, gap_cv(gaps))
    penalty = math.log(len(gaps))
    scale = len(gaps) * math.log(rate_rps)
    found = [
        FittedProcess(arrival=PoissonArrival(), bic=penalty - 2.0 * (log_likelihood(gaps, 1.0) + scale)),
        FittedProcess(arrival=BurstyArrival(cv=cv), bic=2.0 * penalty - 2.0 * (log_likelihood(gaps, cv) + scale)),
    ]
    if cv < CONSTANT_CV:
        found.append(FittedProcess(arrival=ConstantArrival(), bic=-math.inf))
    if course is not None:
        rescaled = np.diff(course.rescaled(times_s, rate_rps))
        rescaled /= rescaled.mean()
        log_rate = course.log_rate(times_s[1:], rate_rps)
        own_cv = min(_MAX_CV, gap_cv(rescaled))
        for each_cv, numbers in ((1.0, 24), (own_cv, 25)):
            likelihood = log_likelihood(rescaled, each_cv) + log_rate
            process = DiurnalArrival(multipliers=course.multipliers, period_s=course.period_s, cv=each_cv)
            found.append(FittedProcess(arrival=process, bic=numbers * penalty - 2.0 * likelihood))
    return tuple(sorted(found, key=lambda each: each.bic))


def _goodness(times_s: Times, rate_rps: float, best: Arrival, course: Course | None) -> Goodness:
    count = min(len(times_s), _MOST_SIMULATED)
    known: dict[int, Times] = {}

    def simulated(seed: int) -> Times:
        if seed not in known:
            known[seed] = arrival_times_s(best, rate_rps, count, seed)
        return known[seed]

    gaps = _stationary_gaps(times_s, rate_rps, best, course)
    cv = _gap_cv_of(best)
    peak_rps = rate_rps * (best.peak_to_mean if isinstance(best, DiurnalArrival) else 1.0)
    is_constant = isinstance(best, ConstantArrival)
    found = Goodness(
        ks_distance=0.0 if is_constant else ks_distance(gaps, cv),
        ks_p_value=1.0 if is_constant else ks_p_value(gaps, cv, seed=0),
        autocorrelation=0.0 if is_constant else autocorrelation(gaps),
        dispersions=dispersions(times_s, simulated, _DISPERSION_SEEDS),
        queue=reference_queue(times_s, peak_rps, simulated, _SEEDS),
        misses=(),
    )
    return _with_misses(found, len(gaps), is_constant=is_constant)


def _with_misses(found: Goodness, gaps: int, *, is_constant: bool) -> Goodness:
    misses: list[Miss] = []
    for each in found.dispersions:
        tolerance = _LARGEST_DISPERSION * (1.0 + 3.0 * each.noise)
        if not is_constant and each.trace > tolerance * each.model and "bursts" not in misses:
            misses.append("bursts")
        if not is_constant and each.model > tolerance * each.trace and "evenness" not in misses:
            misses.append("evenness")
    if abs(found.autocorrelation) > max(_LARGEST_CORRELATION, 4.0 / math.sqrt(gaps)):
        misses.append("correlation")
    if found.ks_distance > max(_LARGEST_DISTANCE, 2.0 / math.sqrt(gaps)):
        misses.append("shape")
    queue = found.queue
    is_outside = not queue.low_s / _LARGEST_RATIO <= queue.trace_s <= queue.high_s * _LARGEST_RATIO
    if is_outside and not 1.0 / _LARGEST_RATIO <= queue.ratio <= _LARGEST_RATIO:
        misses.append("waits")
    elif "waits" not in misses:
        # What does not change the waits does not stand in the way of a plan.
        misses = [miss for miss in misses if miss in ("bursts", "correlation")]
    return Goodness(
        ks_distance=found.ks_distance,
        ks_p_value=found.ks_p_value,
        autocorrelation=found.autocorrelation,
        dispersions=found.dispersions,
        queue=queue,
        misses=tuple(misses),
    )


def _stationary_gaps(times_s: Times, rate_rps: float, best: Arrival, course: Course | None) -> Times:
    """Gaps as multiples of their mean, once the course of the rate is divided out."""
    if course is not None and isinstance(best, DiurnalArrival):
        gaps = np.diff(course.rescaled(times_s, rate_rps))
    else:
        gaps = np.diff(times_s)
    return np.asarray(gaps / gaps.mean(), dtype=np.float64)


def _gap_cv_of(arrival: Arrival) -> float:
    return arrival.cv if isinstance(arrival, BurstyArrival | DiurnalArrival) else 1.0


def _summary(column: str, sizes: tuple[int, ...]) -> SizeSummary:
    values = np.asarray(sizes, dtype=np.float64)
    p50, p90, p99 = percentiles(values, (50.0, 90.0, 99.0))
    return SizeSummary(
        column=column, mean=float(values.mean()), p50=int(p50), p90=int(p90), p99=int(p99), max=int(values.max())
    )


def _peak_rps(windows: tuple[WindowRate, ...], rate_rps: float, best: Arrival) -> float | None:
    """The rate of the busiest minutes, where it is above the mean by more than the process itself makes it."""
    minutes = next((each for each in windows if each.window_s == 60.0), None)
    if minutes is None:
        return None
    by_chance = rate_rps + 3.5 * _gap_cv_of(best) * math.sqrt(rate_rps / minutes.window_s)
    return minutes.p99_rps if minutes.p99_rps > by_chance else None
