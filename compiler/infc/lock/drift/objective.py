"""The SLO and the locked prediction against the latencies that a server counted, as far as its buckets can tell."""

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist

from infc.ir.llm_measurement import TokenMetric
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.lock.drift.values import DriftItem, DriftVerdict, ObjectiveItem, Observed, Window
from infc.lock.values import LockedPrediction
from infc.serve.histogram import Histogram
from infc.validate.statistics import percentile_ranks

CONFIDENCE = 0.95
PREDICTION_TOLERANCE = 0.25
"""How much slower than predicted a server may be before that is drift: about what calibrated predictions are held to
(TTFT p99 within 20%), and some."""

_METRICS: Mapping[TokenMetric, str] = {
    "ttft": "vllm:time_to_first_token_seconds",
    "tpot": "vllm:request_time_per_output_token_seconds",
    "e2e": "vllm:e2e_request_latency_seconds",
}
_FAMILIES: Mapping[TokenMetric, str] = {
    "ttft": "time_to_first_token",
    "tpot": "inter_token_latency",
    "e2e": "request_latency",
}
"""Names of vLLM's `--custom-histogram-buckets` that the metrics follow."""


def objective_items(problem: LlmProblem, predicted: LockedPrediction, window: Window) -> tuple[ObjectiveItem, ...]:
    """Every target of the spec against the window."""
    return tuple(
        judged(
            metric,
            target,
            predicted_s(predicted, metric, target.label),
            _counted(metric, window),
            f"put it on an edge with --custom-histogram-buckets ({_FAMILIES[metric]})",
        )
        for metric, targets in _targets(problem).items()
        for target in targets
    )


def prediction_items(problem: LlmProblem, predicted: LockedPrediction, window: Window) -> tuple[DriftItem, ...]:
    """The mean and every percentile of the spec against the locked prediction: is the server slower than predicted?

    Predictions are made at the peak, so that a server under less load may be faster; slower it may not be.
    """
    return tuple(
        item
        for metric, targets in _targets(problem).items()
        for item in _predictions(metric, [target.percentile for target in targets], predicted, _counted(metric, window))
    )


def _targets(problem: LlmProblem) -> Mapping[TokenMetric, tuple[LatencyTarget, ...]]:
    return {"ttft": problem.ttft, "tpot": problem.tpot, "e2e": problem.e2e}


def _counted(metric: TokenMetric, window: Window) -> Histogram | None:
    """The latencies of the window; those of requests with one token are left out of TPOT, which they do not have."""
    found = counted_since(_METRICS[metric], window)
    if metric != "tpot" or found is None:
        return found
    # vLLM counts a TPOT of 0 for each request that has no second token.
    lengths = counted_since("vllm:request_generation_tokens", window)
    single = min(lengths.counted_at_most(1.0)[0], found.counts[0]) if lengths is not None else 0.0
    return Histogram(
        edges=found.edges,
        counts=tuple(count - single for count in found.counts),
        sum=found.sum,
        count=found.count - single,
    )


def counted_since(name: str, window: Window) -> Histogram | None:
    """A histogram of the window; None where the server does not have it.

    Raises:
        ToolError: the server restarted within the window.
    """
    last = window.last.histogram(name)
    first = window.first.histogram(name) if window.first is not None else None
    return last.minus(first) if last is not None and first is not None else last


def judged(
    metric: TokenMetric, target: LatencyTarget, predicted: float | None, counted: Histogram | None, edge_help: str
) -> ObjectiveItem:
    """One target against what a server counted, None: it does not. `predicted` is in seconds.

    `edge_help` says how a limit that lies inside a bucket comes to lie on an edge.
    """
    requests = 0 if counted is None else int(counted.count)
    low_s = high_s = None
    fewest = most = 0
    verdict, note = Observed.CANNOT_TELL, "the server does not count it" if counted is None else "no request finished"
    if counted is not None and requests:
        low_s, high_s = percentile_bounds(counted, target.percentile)
        fewest, most = (int(each) for each in counted.counted_at_most(target.limit_s))
        verdict, note = _verdict(target, counted, edge_help)
    return ObjectiveItem(
        metric=metric,
        label=target.label,
        limit_s=target.limit_s,
        predicted_s=predicted,
        low_s=low_s,
        high_s=high_s,
        requests=requests,
        fewest_within=fewest,
        most_within=most,
        confidence=CONFIDENCE,
        verdict=verdict,
        note=note,
    )


def percentile_bounds(counted: Histogram, percentile: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """What encloses a percentile of the distribution behind the counted values: by rank, then by bucket.

    The lower bound is the low edge of one bucket, the upper one the high edge of another; infinite where the values
    are too few to bound it. Values are taken as independent.
    """
    ranks = percentile_ranks(int(counted.count), percentile, confidence)
    low = 0.0 if ranks.low is None else counted.rank_bounds(ranks.low)[0]
    high = math.inf if ranks.high is None else counted.rank_bounds(ranks.high)[1]
    return low, high


def mean_bounds(counted: Histogram, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """What encloses the mean behind the counted values: theirs, which is exact, and its sampling error.

    Their spread is that of the buckets' middles (a value past the last edge stands on it), and values are taken as
    independent.

    >>> low, high = mean_bounds(Histogram(edges=(1.0, 3.0, math.inf), counts=(50, 100, 100), sum=125.0, count=100))
    >>> round(low, 2), round(high, 2)
    (1.1, 1.4)
    """
    edges = (*counted.edges[:-1], counted.edges[-2] if len(counted.edges) > 1 else 0.0)
    middles = [(max(low, 0.0) + high) / 2 for low, high in zip((0.0, *edges), edges, strict=False)]
    rises = [high - low for low, high in zip((0.0, *counted.counts), counted.counts, strict=False)]
    center = sum(middle * rise for middle, rise in zip(middles, rises, strict=True)) / counted.count
    spread = sum(rise * (middle - center) ** 2 for middle, rise in zip(middles, rises, strict=True)) / counted.count
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(spread / counted.count)
    return max(0.0, counted.mean - half), counted.mean + half


def _verdict(target: LatencyTarget, counted: Histogram, edge_help: str) -> tuple[Observed, str]:
    """Met where the upper rank surely kept the limit, missed where the lower rank surely broke it."""
    ranks = percentile_ranks(int(counted.count), target.percentile, CONFIDENCE)
    fewest, most = counted.counted_at_most(target.limit_s)
    if ranks.high is not None and fewest >= ranks.high:
        return Observed.MET, ""
    if ranks.low is not None and most < ranks.low:
        return Observed.MISSED, ""
    if fewest != most:
        return Observed.CANNOT_TELL, f"the limit lies inside a bucket: {edge_help}"
    needed = requests_needed(target.percentile)
    if counted.count < needed:
        return Observed.CANNOT_TELL, f"too few requests to be sure: at least {needed}, and none of them over the limit"
    return Observed.CANNOT_TELL, "too close to the limit for so few requests"


def requests_needed(percentile: float, confidence: float = CONFIDENCE) -> int:
    """How many requests, all within a limit, it takes to be sure that a percentile keeps it.

    >>> requests_needed(99.0), requests_needed(50.0)
    (368, 6)
    """
    return math.ceil(math.log((1.0 - confidence) / 2.0) / math.log(percentile / 100.0))


def _predictions(
    metric: TokenMetric, percentiles: list[float], predicted: LockedPrediction, counted: Histogram | None
) -> Iterator[DriftItem]:
    for percentile in (None, *dict.fromkeys((50.0, *percentiles))):
        label = "mean" if percentile is None else f"p{percentile:g}"
        expected_s = predicted_s(predicted, metric, label)
        if expected_s is None:
            continue
        if counted is None or not counted.count:
            bounds = None
        else:
            bounds = mean_bounds(counted) if percentile is None else percentile_bounds(counted, percentile)
        yield prediction_item(f"{metric}-{label}", f"{metric} {label}", expected_s, bounds, _METRICS[metric])


def prediction_item(
    id: str,
    name: str,
    expected_s: float,
    bounds: tuple[float, float] | None,
    source: str,
    *,
    slowest_s: float = 0.0,
    why_silent: str = "no request finished",
) -> DriftItem:
    """Whether something takes longer than predicted; `bounds` enclose what was seen, in seconds (None: nothing was).

    `slowest_s` is the upper end of the prediction, where that is above its tolerance.
    """
    slowest_s = max(slowest_s, expected_s * (1 + PREDICTION_TOLERANCE))
    if bounds is None:
        verdict, note = DriftVerdict.NOT_VISIBLE, why_silent
    elif bounds[0] > slowest_s:
        verdict, note = DriftVerdict.DRIFTED, "slower than predicted"
    elif bounds[1] <= slowest_s:
        verdict, note = DriftVerdict.SAME, ""
    else:
        verdict, note = DriftVerdict.NOT_VISIBLE, "what was counted can be either"
    low_ms, high_ms = (None, None) if bounds is None else (bounds[0] * 1e3, bounds[1] * 1e3)
    return DriftItem(
        id=f"predicted-{id}",
        area="prediction",
        name=name,
        expected=expected_s * 1e3,
        observed=None if low_ms is None or high_ms is None else words_of_bounds(low_ms, high_ms),
        verdict=verdict,
        source=source,
        unit="ms",
        low=low_ms,
        high=None if high_ms is None or math.isinf(high_ms) else high_ms,
        note=note,
    )


def predicted_s(predicted: LockedPrediction, metric: TokenMetric, label: str) -> float | None:
    """A locked percentile or mean in seconds, None where there is none."""
    by_label = {"ttft": predicted.ttft_ms, "tpot": predicted.tpot_ms, "e2e": predicted.latency_ms}.get(metric, {})
    value = by_label.get(label)
    return None if value is None else value / 1e3


def words_of_bounds(low: float, high: float) -> str:
    """`40 to 60`; `over 40` where nothing bounds it above.

    >>> words_of_bounds(40.0, 60.0), words_of_bounds(40.0, math.inf), words_of_bounds(0.0, math.inf)
    ('40 to 60', 'over 40', 'not bounded')
    """
    if math.isinf(high):
        return f"over {low:.4g}" if low > 0 else "not bounded"
    return f"{low:.4g} to {high:.4g}"
