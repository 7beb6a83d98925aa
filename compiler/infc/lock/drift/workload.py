"""The requests that a server counted against the workload of the spec: lengths, rate, cache, preemptions."""

import math
from collections.abc import Iterator
from dataclasses import replace

from infc.ir.problem import AxisDistribution, LlmProblem, TokenTraffic
from infc.lock.drift.objective import CONFIDENCE, counted_since, mean_bounds, percentile_bounds, words_of_bounds
from infc.lock.drift.values import DriftItem, DriftVerdict, Window
from infc.lock.values import LockEntry
from infc.serve.histogram import Histogram
from infc.sim.lengths import mean_length

LENGTH_TOLERANCE = 0.2
"""How far lengths may surely be off before a plan no longer fits: about the margin of an SLO."""
RATE_TOLERANCE = 0.05
PREFIX_TOLERANCE = 0.1
"""How much less of the prompts than planned may be found in the cache, as a share of their tokens."""
PREEMPTION_TOLERANCE = 0.01
"""Preemptions a request that a plan without any may see."""

PROMPT_LENGTHS = "vllm:request_prompt_tokens"
OUTPUT_LENGTHS = "vllm:request_generation_tokens"
_Z = 1.96


def workload_items(problem: LlmProblem, entry: LockEntry, window: Window) -> tuple[DriftItem, ...]:
    """Everything about the requests, in a fixed order.

    Raises:
        ToolError: the server restarted within the window.
    """
    return (
        _rate(problem, entry, window),
        *_lengths("prompt", problem.tokens.prompt, counted_since(PROMPT_LENGTHS, window), PROMPT_LENGTHS),
        *_lengths("output", problem.tokens.output, counted_since(OUTPUT_LENGTHS, window), OUTPUT_LENGTHS),
        *_shared_prefix(problem, entry, window),
        _cache_use(window),
        _preemptions(window),
        _failures(problem, window),
    )


def arrived(window: Window) -> float | None:
    """Requests that arrived within the window: those that ended, and those by which more are under way.

    None where the server does not count them.
    """
    ended = _rise("vllm:request_success", window)
    if ended is None:
        return None
    under_way = sum(_level(window, name) for name in ("vllm:num_requests_running", "vllm:num_requests_waiting"))
    return max(0.0, ended + under_way) + (_rise("vllm:admission_rejections", window) or 0.0)


def observed_peak_rps(entry: LockEntry, window: Window) -> float | None:
    """The rate over all replicas, if every one gets what this server got."""
    count = arrived(window)
    return None if count is None or not window.duration_s else count / window.duration_s * entry.choice.replicas


def observed_tokens(planned: TokenTraffic, window: Window) -> TokenTraffic:
    """The lengths that were counted, where they were counted, at the percentiles that the spec names."""
    prompt = counted_since(PROMPT_LENGTHS, window)
    output = counted_since(OUTPUT_LENGTHS, window)
    share = prefix_share(window)
    return replace(
        planned,
        prompt=_observed_lengths(planned.prompt, prompt),
        output=_observed_lengths(planned.output, output),
        shared_prefix=planned.shared_prefix if share is None else min(planned.shared_prefix, share),
    )


def prefix_share(window: Window) -> float | None:
    """The share of prompt tokens that was found in the cache; None where nothing was looked up."""
    asked, hit = _rise("vllm:prefix_cache_queries", window), _rise("vllm:prefix_cache_hits", window)
    return hit / asked if asked and hit is not None else None


def _rate(problem: LlmProblem, entry: LockEntry, window: Window) -> DriftItem:
    count = arrived(window)
    note = "the server does not count requests" if count is None else "the server does not say when it started"
    return rate_item(problem.traffic.peak_rps, entry, count, window.duration_s, "vllm:request_success", note)


def rate_item(
    peak_rps: float, entry: LockEntry, count: float | None, duration_s: float | None, source: str, why_silent: str
) -> DriftItem:
    """The rate of one server against its share of the peak: over it the plan holds nothing; under it is no drift."""
    share = peak_rps / entry.choice.replicas
    of = f"one of {entry.choice.replicas} replicas" if entry.choice.replicas > 1 else "the whole peak"
    expected = f"up to {share:.4g}/s, {of}"
    if count is None or not duration_s:
        return workload_item(
            "arrival-rate", "arrival rate", expected, None, DriftVerdict.NOT_VISIBLE, unit="/s", note=why_silent
        )
    low, high = (each / duration_s for each in poisson_bounds(count))
    is_over = low > share * (1 + RATE_TOLERANCE)
    return workload_item(
        "arrival-rate",
        "arrival rate",
        expected,
        float(f"{count / duration_s:.4g}"),
        DriftVerdict.DRIFTED if is_over else DriftVerdict.SAME,
        source=source,
        unit="/s",
        low=low,
        high=high,
        note="more than the plan was made for" if is_over else "",
    )


def poisson_bounds(count: float) -> tuple[float, float]:
    """What encloses the mean number of arrivals (95%) where `count` were seen.

    Source: the square root of a Poisson count has a variance of about 1/4 (Bartlett 1936).

    >>> [round(each) for each in poisson_bounds(100)]
    [81, 122]
    """
    return max(0.0, math.sqrt(count) - _Z / 2) ** 2, (math.sqrt(count + 1) + _Z / 2) ** 2


def _lengths(kind: str, planned: AxisDistribution, counted: Histogram | None, source: str) -> Iterator[DriftItem]:
    """The mean, every percentile of the spec, and the maximum, each against what was counted."""
    figures = [
        ("mean", mean_length(planned)),
        *((f"p{p:g}", float(size)) for p, size in sorted(planned.percentiles.items())),
    ]
    for label, expected in figures:
        id, name = f"{kind}-tokens-{label}", f"{kind} tokens {label}"
        if counted is None or not counted.count:
            note = "the server does not count it" if counted is None else "no request finished"
            yield workload_item(id, name, round(expected), None, DriftVerdict.NOT_VISIBLE, unit="tokens", note=note)
            continue
        low, high = (
            mean_bounds(counted, CONFIDENCE) if label == "mean" else percentile_bounds(counted, float(label[1:]))
        )
        verdict, note = length_verdict(expected, low, high)
        seen = round(counted.mean, 1) if label == "mean" else words_of_bounds(low, high)
        yield workload_item(
            id, name, round(expected), seen, verdict, source=source, unit="tokens", low=low, high=high, note=note
        )
    yield _longest(kind, planned.maximum, counted, source)


def length_verdict(expected: float, low: float, high: float) -> tuple[DriftVerdict, str]:
    """Drifted where all that is possible is off by more than the tolerance, the same where none of it is."""
    least, most = expected / (1 + LENGTH_TOLERANCE), expected * (1 + LENGTH_TOLERANCE)
    if low > most or high < least:
        return DriftVerdict.DRIFTED, "longer than planned" if low > most else "shorter than planned"
    if least <= low and high <= most:
        return DriftVerdict.SAME, ""
    return DriftVerdict.NOT_VISIBLE, "what was counted can be either"


def _longest(kind: str, maximum: int, counted: Histogram | None, source: str) -> DriftItem:
    id, name = f"{kind}-tokens-max", f"{kind} tokens max"
    if counted is None or not counted.count:
        return workload_item(
            id, name, maximum, None, DriftVerdict.NOT_VISIBLE, unit="tokens", note="no request finished"
        )
    fewest, most = counted.counted_at_most(float(maximum))
    over = int(counted.count - most)
    low, high = counted.rank_bounds(int(counted.count))
    if over:
        verdict, note = DriftVerdict.DRIFTED, f"{over} of {int(counted.count)} requests are longer"
    elif fewest == counted.count:
        verdict, note = DriftVerdict.SAME, ""
    else:
        verdict, note = DriftVerdict.NOT_VISIBLE, "what was counted can be either"
    seen = words_of_bounds(low, high)
    return workload_item(id, name, maximum, seen, verdict, source=source, unit="tokens", low=low, high=high, note=note)


def _shared_prefix(problem: LlmProblem, entry: LockEntry, window: Window) -> Iterator[DriftItem]:
    id, name, planned = "shared-prefix", "prompt found in cache", problem.tokens.shared_prefix
    if not planned:
        return
    share = prefix_share(window)
    expected = f"{planned:.0%}"
    if entry.choice.prefix_caching is False or share is None:
        note = "no prompt was looked up" if entry.choice.prefix_caching is not False else "the plan does not cache them"
        yield workload_item(id, name, expected, None, DriftVerdict.NOT_VISIBLE, note=note)
        return
    is_less = share < planned - PREFIX_TOLERANCE
    yield workload_item(
        id,
        name,
        expected,
        f"{share:.0%}",
        DriftVerdict.DRIFTED if is_less else DriftVerdict.SAME,
        source="vllm:prefix_cache_hits",
        note="prompts have less in common than planned: each costs more prefill" if is_less else "",
    )


def _cache_use(window: Window) -> DriftItem:
    """The highest share of the KV cache that was seen in use; a full cache is where preemptions begin."""
    id, name, expected = "kv-cache-usage", "KV cache in use", "under 95%"
    if window.first is None or not window.usage:
        return workload_item(id, name, expected, None, DriftVerdict.NOT_VISIBLE, note="seen only over a window")
    highest = max(window.usage)
    is_full = highest >= 0.95
    return workload_item(
        id,
        name,
        expected,
        f"up to {highest:.0%}",
        DriftVerdict.DRIFTED if is_full else DriftVerdict.SAME,
        source="vllm:kv_cache_usage_perc",
        note="the cache is full: requests wait for room" if is_full else f"of {len(window.usage)} readings",
    )


def _preemptions(window: Window) -> DriftItem:
    id, name, expected = "preemptions", "preemptions a request", f"under {PREEMPTION_TOLERANCE:g}"
    count, ended = _rise("vllm:num_preemptions", window), _rise("vllm:request_success", window)
    if count is None or not ended:
        return workload_item(id, name, expected, None, DriftVerdict.NOT_VISIBLE, note="no request finished")
    is_many = poisson_bounds(count)[0] / ended > PREEMPTION_TOLERANCE
    return workload_item(
        id,
        name,
        expected,
        float(f"{count / ended:.3g}"),
        DriftVerdict.DRIFTED if is_many else DriftVerdict.SAME,
        source="vllm:num_preemptions",
        note="requests lose their cache and start again" if is_many else "",
    )


def _failures(problem: LlmProblem, window: Window) -> DriftItem:
    count = arrived(window)
    failed = (_rise("vllm:request_success", window, finished_reason="error") or 0.0) + (
        _rise("vllm:admission_rejections", window) or 0.0
    )
    return failure_item(problem.availability, failed, count, "vllm:request_success, vllm:admission_rejections")


def failure_item(availability: float | None, failed: float, count: float | None, source: str) -> DriftItem:
    """Requests that ended in an error or were turned away, against the availability that the spec asks for."""
    id, name = "failed-requests", "failed requests"
    allowed = 0.0 if availability is None else 1.0 - availability
    expected = "none" if availability is None else f"up to {allowed:.3%}".rstrip("0%").rstrip(".") + "%"
    if not count:
        return workload_item(id, name, expected, None, DriftVerdict.NOT_VISIBLE, note="no request finished")
    is_more = poisson_bounds(failed)[0] / count > allowed
    return workload_item(
        id,
        name,
        expected,
        f"{int(failed)} of {int(count)}",
        DriftVerdict.DRIFTED if is_more else DriftVerdict.SAME,
        source=source,
    )


def _rise(name: str, window: Window, **labels: str) -> float | None:
    """By how much a counter rose within the window."""
    last = window.last.total(name, **labels)
    first = window.first.total(name, **labels) if window.first is not None else 0.0
    return None if last is None else last - (first or 0.0)


def _level(window: Window, name: str) -> float:
    """By how much a gauge is higher at the end of the window than at its begin."""
    first = window.first.total(name) if window.first is not None else 0.0
    return (window.last.total(name) or 0.0) - (first or 0.0)


def _observed_lengths(planned: AxisDistribution, counted: Histogram | None) -> AxisDistribution:
    """The distribution that the buckets and the exact mean suggest; the planned one where nothing was counted.

    Each percentile is interpolated within its bucket and then scaled by what the mean says, but not out of its bucket;
    the maximum is the edge of the highest bucket in use, or the planned one where that bucket allows it.
    """
    if counted is None or not counted.count:
        return planned
    low, high = counted.rank_bounds(int(counted.count))
    maximum = planned.maximum if low < planned.maximum <= high else math.ceil(high if math.isfinite(high) else 2 * low)
    percentiles = sorted(planned.percentiles) or [50.0, 90.0]
    sizes = {p: min(float(maximum), _interpolated(counted, p)) for p in percentiles}
    guess = AxisDistribution(percentiles={p: max(1, round(size)) for p, size in sizes.items()}, maximum=maximum)
    factor = counted.mean / mean_length(guess) if mean_length(guess) else 1.0
    for p in percentiles:
        bounds = counted.quantile_bounds(p / 100.0)
        sizes[p] = min(max(sizes[p] * factor, bounds[0]), bounds[1], float(maximum))
    return AxisDistribution(percentiles={p: max(1, round(size)) for p, size in sizes.items()}, maximum=maximum)


def _interpolated(counted: Histogram, percentile: float) -> float:
    low, high = counted.quantile_bounds(percentile / 100.0)
    if math.isinf(high):
        return low
    below, within = counted.counted_at_most(low)[1] if low > 0 else 0.0, counted.counted_at_most(high)[0]
    share = (percentile / 100.0 * counted.count - below) / (within - below) if within > below else 0.5
    return low + (high - low) * min(max(share, 0.0), 1.0)


def workload_item(
    id: str,
    name: str,
    expected: str | int | float,
    observed: str | int | float | None,
    verdict: DriftVerdict,
    *,
    source: str = "",
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    note: str = "",
) -> DriftItem:
    """A comparison of requests with the spec's workload."""
    return DriftItem(
        id=id,
        area="workload",
        name=name,
        expected=expected,
        observed=observed,
        verdict=verdict,
        source=source,
        unit=unit,
        low=low,
        high=None if high is None or math.isinf(high) else high,
        note=note,
    )
