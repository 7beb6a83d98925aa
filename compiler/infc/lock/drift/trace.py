"""Recorded traffic against the workload of the spec: rate, peak, pattern of arrivals, course of the day, sizes.

A record says something of the time that it covers. What it surely exceeds is drift, however short it is; that a plan's
peak was never reached it can only show over a whole day.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist

import numpy as np

from infc.ir.arrival import DAY_S, Arrival, BurstyArrival, ConstantArrival, DiurnalArrival, PoissonArrival, TraceArrival
from infc.ir.problem import AxisDistribution, LlmProblem, Problem
from infc.lock.drift.slug import slug
from infc.lock.drift.values import DriftItem, DriftVerdict
from infc.lock.drift.workload import LENGTH_TOLERANCE, RATE_TOLERANCE, length_verdict, workload_item
from infc.sim.arrivals import Times
from infc.sim.lengths import mean_length
from infc.sim.trace_fit import ArrivalFit
from infc.validate.statistics import mean_interval, percentile_ranks

CONFIDENCE = 0.95
CV_TOLERANCE = 0.2
"""How much more than planned gaps may surely vary: waits in a queue grow about with the square of their variation."""
FEWEST_GAPS = 100
FEWEST_PER_HOUR = 30
_WHOLE_DAY_S = 0.98 * DAY_S
_CONSTANT_CV = 0.1
_BATCH = "batch"
_PROMPT, _OUTPUT = "prompt_tokens", "output_tokens"


def trace_items(problem: Problem | LlmProblem, fit: ArrivalFit) -> tuple[DriftItem, ...]:
    """Every comparison, in a fixed order."""
    return (
        _mean_rate(problem, fit),
        _peak_rate(problem, fit),
        _burstiness(problem, fit),
        *_hours(problem, fit),
        *_sizes(problem, fit),
    )


def overdispersion(fit: ArrivalFit) -> float:
    """Variance over mean of the number of requests in a stretch of time, at least 1: that of a Poisson process."""
    known = [each.trace for each in fit.goodness.dispersions] if fit.goodness is not None else []
    return max([1.0, min(fit.cv, 20.0) ** 2, *known])


def _mean_rate(problem: Problem | LlmProblem, fit: ArrivalFit) -> DriftItem:
    """The mean over whole days, against the mean of the spec's day."""
    planned = problem.traffic.mean_rps
    half = _z() * math.sqrt(overdispersion(fit) * fit.rate_rps / fit.span_s)
    low, high = max(0.0, fit.rate_rps - half), fit.rate_rps + half
    verdict, note = DriftVerdict.SAME, ""
    if fit.span_s < _WHOLE_DAY_S:
        verdict, note = (
            DriftVerdict.NOT_VISIBLE,
            f"{_span(fit.span_s)} of traffic, not a day: its mean is of these hours",
        )
    elif low > planned * (1 + RATE_TOLERANCE):
        verdict, note = DriftVerdict.DRIFTED, "more than the plan was made for"
    return workload_item(
        "mean-rate", "mean rate", f"up to {planned:.4g}", float(f"{fit.rate_rps:.4g}"), verdict,
        source="the trace", unit="/s", low=low, high=high, note=note,
    )  # fmt: skip


def _peak_rate(problem: Problem | LlmProblem, fit: ArrivalFit) -> DriftItem:
    """The busiest minute (or shorter stretch) against the peak, chance included.

    Over it is what requests at the planned peak would not reach by chance in the busiest of so many stretches.
    """
    id, name, planned = "peak-rate", "busiest minute", problem.traffic.peak_rps
    window = max(fit.windows, key=lambda each: each.window_s, default=None)
    if window is None:
        note = "too short for a peak: ten seconds at least"
        return workload_item(id, name, f"up to {planned:.4g}", None, DriftVerdict.NOT_VISIBLE, unit="/s", note=note)
    name = f"busiest {_span(window.window_s)}"
    stretches = max(1.0, fit.span_s / window.window_s)
    z = NormalDist().inv_cdf(1.0 - (1.0 - CONFIDENCE) / 2.0 / stretches)
    allowed = planned * (1 + RATE_TOLERANCE)
    by_chance = z * math.sqrt(overdispersion(fit) * allowed / window.window_s)
    verdict, note = DriftVerdict.SAME, ""
    if window.max_rps > allowed + by_chance:
        verdict, note = DriftVerdict.DRIFTED, "more than the peak that the SLO is planned for"
    elif fit.span_s < _WHOLE_DAY_S:
        verdict = DriftVerdict.NOT_VISIBLE
        note = f"{_span(fit.span_s)} of traffic, not a day: the peak may be at other hours"
    return workload_item(
        id, name, f"up to {planned:.4g}", float(f"{window.max_rps:.4g}"), verdict,
        source="the trace", unit="/s", low=max(0.0, window.max_rps - by_chance), high=window.max_rps, note=note,
    )  # fmt: skip


def _burstiness(problem: Problem | LlmProblem, fit: ArrivalFit) -> DriftItem:
    """How much gaps vary, the course of the rate divided out where there is one: more than planned is drift."""
    id, name = "burstiness", "variation of gaps"
    planned = planned_cv(problem.traffic.arrival)
    times_s = np.asarray(fit.trace.timestamps_s, dtype=np.float64)
    if planned is None:
        note = "the spec's traffic is a trace itself: its pattern is compared by rates and sizes"
        return workload_item(id, name, "as its trace", None, DriftVerdict.NOT_VISIBLE, note=note)
    if len(times_s) <= FEWEST_GAPS:
        note = f"too few requests: {FEWEST_GAPS} gaps at least"
        return workload_item(id, name, planned, None, DriftVerdict.NOT_VISIBLE, note=note)
    cv, error = cv_with_error(np.diff(times_s))
    best = fit.best
    if isinstance(best, DiurnalArrival):
        cv = best.cv
    low, high = max(0.0, cv - _z() * error), cv + _z() * error
    is_more = low > max(_CONSTANT_CV, planned * (1 + CV_TOLERANCE))
    return workload_item(
        id, name, float(f"{planned:.3g}"), float(f"{cv:.3g}"),
        DriftVerdict.DRIFTED if is_more else DriftVerdict.SAME,
        source="the trace", low=low, high=high,
        note="requests come in bursts: queues are longer than planned" if is_more else "",
    )  # fmt: skip


def planned_cv(arrival: Arrival) -> float | None:
    """The coefficient of variation of the gaps that a plan was made for; None for a trace.

    >>> planned_cv(PoissonArrival()), planned_cv(ConstantArrival()), planned_cv(BurstyArrival(cv=2.5))
    (1.0, 0.0, 2.5)
    """
    match arrival:
        case ConstantArrival(streams=streams):
            return 0.0 if streams == 1 else 1.0
        case PoissonArrival():
            return 1.0
        case BurstyArrival(cv=cv) | DiurnalArrival(cv=cv):
            return cv
        case TraceArrival():
            return None


def cv_with_error(gaps: Times) -> tuple[float, float]:
    """The coefficient of variation of independent gaps, and its standard error.

    Source: delta method on mean and variance, with the gaps' own skewness and kurtosis.

    >>> cv, error = cv_with_error(np.random.default_rng(0).standard_exponential(10_000))
    >>> round(cv, 2), round(error, 3)
    (1.0, 0.01)
    """
    mean, deviation = float(gaps.mean()), float(gaps.std())
    if mean <= 0.0 or deviation <= 0.0:
        return 0.0, 0.0
    standard = (gaps - mean) / deviation
    skewness, kurtosis = float((standard**3).mean()), float((standard**4).mean())
    cv = deviation / mean
    variance = cv**2 / len(gaps) * max(0.0, (kurtosis - 1.0) / 4.0 - skewness * cv + cv**2)
    return cv, math.sqrt(variance)


def _hours(problem: Problem | LlmProblem, fit: ArrivalFit) -> Iterator[DriftItem]:
    """The share of each hour of the day, where the spec has a shape: what surely is a fifth more than planned."""
    planned = problem.traffic.hourly
    if planned is None:
        return
    id, name, expected = "hourly-shape", "hours of the day", "at most as planned"
    start_s = fit.trace.starts_at_s
    if start_s is None or fit.span_s < _WHOLE_DAY_S:
        note = "the trace does not say the time of day" if start_s is None else "less than a day of traffic"
        yield workload_item(id, name, expected, None, DriftVerdict.NOT_VISIBLE, note=note)
        return
    over = [
        hour
        for hour, (low, share) in _hour_shares(fit, start_s, planned).items()
        if low > share * (1 + LENGTH_TOLERANCE)
    ]
    yield workload_item(
        id, name, expected, ", ".join(f"{hour}:00" for hour in over) + " above" if over else "as planned",
        DriftVerdict.DRIFTED if over else DriftVerdict.SAME,
        source="the trace",
        note="the reserved baseline and the autoscaler's bounds follow the planned shape" if over else "",
    )  # fmt: skip


def _hour_shares(fit: ArrivalFit, start_s: float, planned: Sequence[float]) -> Mapping[int, tuple[float, float]]:
    """Hour -> lower bound of its rate over the mean, and the planned one; only hours with enough requests."""
    times = np.asarray(fit.trace.timestamps_s, dtype=np.float64)
    hours = (((times + start_s) % DAY_S) // 3600.0).astype(np.int64)
    edges = np.arange(25) * 3600.0
    covered = [_covered(start_s, float(times[-1]), edges[hour], edges[hour + 1]) for hour in range(24)]
    mean = sum(planned) / len(planned)
    noise = overdispersion(fit)
    found = {}
    for hour in range(24):
        count = int((hours == hour).sum())
        if count >= FEWEST_PER_HOUR and covered[hour] > 0.0:
            low = (count - _z() * math.sqrt(noise * count)) / covered[hour] / fit.rate_rps
            found[hour] = (low, planned[hour] / mean)
    return found


def _covered(start_s: float, span_s: float, begin_s: float, end_s: float) -> float:
    """Seconds of the record that lie in an hour of the day.

    >>> _covered(0.0, 2 * 86400.0, 3600.0, 7200.0), _covered(5400.0, 3600.0, 3600.0, 7200.0)
    (7200.0, 1800.0)
    """
    days = range(int((start_s + span_s) // DAY_S) + 1)
    return sum(
        max(0.0, min(start_s + span_s, end_s + day * DAY_S) - max(start_s, begin_s + day * DAY_S)) for day in days
    )


def _sizes(problem: Problem | LlmProblem, fit: ArrivalFit) -> Iterator[DriftItem]:
    """Lengths of a language model's requests, or axes and rows of a tensor model's."""
    sizes = fit.trace.sizes
    if isinstance(problem, LlmProblem):
        yield from _distribution("prompt-tokens", "prompt tokens", problem.tokens.prompt, sizes.get(_PROMPT), _PROMPT)
        yield from _distribution("output-tokens", "output tokens", problem.tokens.output, sizes.get(_OUTPUT), _OUTPUT)
        return
    for axis, planned in sorted(problem.traffic.axes.items()):
        yield from _distribution(f"axis-{slug(axis)}", axis, planned, sizes.get(axis), axis)
    rows = sizes.get(_BATCH)
    if rows is not None:
        mean = sum(rows) / len(rows)
        is_more = mean > 1.0
        yield workload_item(
            "rows-per-request", "rows a request", 1, float(f"{mean:.4g}"),
            DriftVerdict.DRIFTED if is_more else DriftVerdict.SAME,
            source="the trace", note="the plan was made for requests of one row" if is_more else "",
        )  # fmt: skip


def _distribution(
    id: str, name: str, planned: AxisDistribution, sizes: Sequence[int] | None, column: str
) -> Iterator[DriftItem]:
    """Mean, the percentiles of the spec, and the maximum, each with what the number of requests leaves open."""
    if sizes is None:
        note = f"the trace has no column {column}"
        yield workload_item(
            f"{id}-mean", f"{name} mean", round(mean_length(planned)), None, DriftVerdict.NOT_VISIBLE, note=note
        )
        return
    ordered = np.sort(np.asarray(sizes, dtype=np.float64))
    bounds = mean_interval(ordered, CONFIDENCE)
    yield _size(f"{id}-mean", f"{name} mean", mean_length(planned), float(ordered.mean()), bounds.low, bounds.high)
    for percentile, size in sorted(planned.percentiles.items()):
        ranks = percentile_ranks(len(ordered), percentile, CONFIDENCE)
        seen = float(ordered[max(1, math.ceil(percentile / 100.0 * len(ordered) - 1e-9)) - 1])
        low = 0.0 if ranks.low is None else float(ordered[ranks.low - 1])
        high = math.inf if ranks.high is None else float(ordered[ranks.high - 1])
        yield _size(f"{id}-p{percentile:g}", f"{name} p{percentile:g}", float(size), seen, low, high)
    over = int((ordered > planned.maximum).sum())
    yield workload_item(
        f"{id}-max", f"{name} max", planned.maximum, int(ordered[-1]),
        DriftVerdict.DRIFTED if over else DriftVerdict.SAME,
        source="the trace", note=f"{over} of {len(ordered)} requests are larger" if over else "",
    )  # fmt: skip


def _size(id: str, name: str, planned: float, seen: float, low: float, high: float) -> DriftItem:
    verdict, note = length_verdict(planned, low, high)
    return workload_item(
        id, name, round(planned), float(f"{seen:.4g}"), verdict, source="the trace", low=low, high=high,
        note=note.replace("what was counted can be either", "too few requests to tell"),
    )  # fmt: skip


def _z() -> float:
    return NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0)


def _span(seconds: float) -> str:
    """`10 s`, `5 min`, `3 h`."""
    if seconds < 120.0:
        return "minute" if seconds == 60.0 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.0f} h"
