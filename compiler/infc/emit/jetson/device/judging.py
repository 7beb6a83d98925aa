"""What the answers so far say of an objective: a sequential test for each limit, which may be looked at at any time."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Sequence  # noqa: UP035 - Python 3.8

from infc.validate.far.latencies import bounded_percentile, effect_of_clusters
from infc.validate.far.mixture import verdict_word

LATENCY, TTFT, TPOT = "latency", "ttft", "tpot"
KINDS = (LATENCY, TTFT, TPOT)
_LATE_S, _LATE_SHARE = 0.001, 0.05
"""A request that was sent later than this, or this share of the limit if that is more, speaks against no service."""
REPORTED = (50.0, 99.0)


class Limit(NamedTuple):
    """At most `limit_s` for a percentile of a kind of latency."""

    kind: str
    percentile: float
    limit_s: float

    @property
    def metric(self) -> str:
        """`p99`, or `ttft_p99` for a language model's."""
        label = f"p{self.percentile:g}"
        return label if self.kind == LATENCY else f"{self.kind}_{label}"


class Measured(NamedTuple):
    """One request whose outcome is known, in seconds; infinite where nothing came back. `lag_s`: sent too late."""

    latency_s: float
    ttft_s: float
    tpot_s: float
    lag_s: float

    def of(self, kind: str) -> float:
        """The latency of a kind."""
        return {LATENCY: self.latency_s, TTFT: self.ttft_s, TPOT: self.tpot_s}[kind]


def limits_of(slo: dict[str, Any]) -> list[Limit]:
    """The limits of an objective."""
    return [
        Limit(kind, float(entry["percentile"]), float(entry["limit_s"]))
        for kind in KINDS
        for entry in slo.get(kind, ())
    ]


def judged(limit: Limit, samples: Sequence[Measured], confidence: float, spacing_s: float) -> dict[str, Any]:
    """An entry of `verdicts` in acceptance.json.

    What the sender was late counts as latency, but a failure must hold without the requests that it sent late.
    """
    values = [sample.of(limit.kind) for sample in samples]
    entry = {"metric": limit.metric, "limit": limit.limit_s, "value": None, "low": None, "high": None}
    if not values:
        return {**entry, "verdict": "inconclusive"}
    verdict = _word(limit, values, confidence, spacing_s)
    late_s = max(_LATE_S, _LATE_SHARE * limit.limit_s)
    if verdict == "fail" and any(sample.lag_s > late_s for sample in samples):
        punctual = [0.0 if sample.lag_s > late_s else sample.of(limit.kind) for sample in samples]
        verdict = "fail" if _word(limit, punctual, confidence, spacing_s) == "fail" else "inconclusive"
    return {**entry, **interval(values, limit.percentile, confidence, spacing_s), "verdict": verdict}


def interval(values: Sequence[float], percentile: float, confidence: float, spacing_s: float) -> dict[str, Any]:
    """A percentile with its bounds; null where it is, or may be, infinite."""
    effect = effect_of_clusters(values, percentile, None, spacing_s)
    found = bounded_percentile(sorted(values), percentile, confidence, effect)
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def percentiles(
    values: Sequence[float], limits: Sequence[Limit], kind: str, confidence: float, spacing_s: float
) -> dict[str, Any]:
    """`p50`, `p99` and the limits' percentiles of what was answered; `high` is null where nothing bounds it."""
    known = [value for value in values if math.isfinite(value)]
    wanted = sorted({*REPORTED, *(limit.percentile for limit in limits if limit.kind == kind)})
    return {f"p{each:g}": interval(known, each, confidence, spacing_s) for each in wanted} if known else {}


def ceiling(metric: str, limit: float | None, sensor: dict[str, float] | None) -> list[dict[str, Any]]:
    """The verdict of a hard limit, judged by the largest value; inconclusive where there is no sensor for it."""
    if limit is None:
        return []
    entry = {"metric": metric, "limit": limit, "value": None, "low": None, "high": None}
    if sensor is None:
        return [{**entry, "verdict": "inconclusive"}]
    return [{**entry, "value": sensor["max"], "verdict": "pass" if sensor["max"] <= limit else "fail"}]


def _word(limit: Limit, values: Sequence[float], confidence: float, spacing_s: float) -> str:
    overs = sum(value > limit.limit_s for value in values)
    effect = effect_of_clusters(values, limit.percentile, limit.limit_s, spacing_s)
    return verdict_word(overs, len(values), limit.percentile, confidence, effect)
