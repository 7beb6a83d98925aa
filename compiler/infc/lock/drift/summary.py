"""Percentiles that a Triton server exports as summaries, and what they bound.

A summary is of the last minute, in five parts that are dropped one by one, so that it holds the requests of the last 48
to 60 seconds; each exported quantile is off by an allowed error, as a share of the requests.
Source: prometheus-cpp, core/include/prometheus/summary.h (max_age 60 s, age_buckets 5), which Triton leaves at that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from infc.emit.monitoring.triton_summary import rank_error
from infc.ir.problem import LatencyTarget
from infc.lock.drift.objective import CONFIDENCE, requests_needed
from infc.lock.drift.values import ObjectiveItem, Observed
from infc.serve.prometheus import Metrics
from infc.validate.statistics import percentile_ranks

SURELY_WITHIN_S = 48.0
REQUEST_SUMMARY = "nv_inference_request_summary_us"
_US_PER_S = 1e6


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Exported quantiles (share -> seconds) of at least `requests` requests; each may be off by `error` of its rank.

    The error is the one of the emitted command line: a server does not say with which it was started.
    """

    quantiles_s: Mapping[float, float]
    requests: int

    def error(self, quantile: float) -> float:
        """How far the rank of a quantile may be off, as a share: what the launch command allows, and one request."""
        return rank_error(quantile) + 1.0 / self.requests

    def bounds_s(self, percentile: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """What encloses a percentile of the distribution behind the requests; infinite where nothing does."""
        ranks = percentile_ranks(self.requests, percentile, confidence)
        low, high = 0.0, math.inf
        for quantile, seconds in sorted(self.quantiles_s.items()):
            error = self.error(quantile)
            if ranks.low is not None and (quantile + error) * self.requests <= ranks.low:
                low = max(low, seconds)
            if ranks.high is not None and (quantile - error) * self.requests >= ranks.high:
                high = min(high, seconds)
        return low, max(low, high)

    def within(self, limit_s: float) -> tuple[int, int]:
        """How many of the requests kept a limit, at least and at most."""
        fewest, most = 0.0, 1.0
        for quantile, seconds in self.quantiles_s.items():
            if seconds <= limit_s:
                fewest = max(fewest, quantile - self.error(quantile))
            else:
                most = min(most, quantile + self.error(quantile))
        return math.floor(fewest * self.requests), math.ceil(min(1.0, max(fewest, most)) * self.requests)


def summary_of(metrics: Metrics, model: str, requests: int) -> Summary | None:
    """The summary of a model's whole requests; None where none is exported, or none of `requests` is in it.

    Several versions of a model have one each: the slower value is taken.
    """
    found: dict[float, float] = {}
    for sample in metrics.samples.get(REQUEST_SUMMARY, ()):
        quantile = sample.label("quantile")
        if sample.label("model") != model or quantile is None or math.isnan(sample.value):
            continue
        try:
            share = float(quantile)
        except ValueError:
            continue
        found[share] = max(found.get(share, 0.0), sample.value / _US_PER_S)
    return Summary(quantiles_s=found, requests=requests) if found and requests > 0 else None


def judged_by_summary(target: LatencyTarget, predicted: float | None, summary: Summary) -> ObjectiveItem:
    """A target of the end-to-end latency against a summary: met or missed where it is sure."""
    low_s, high_s = summary.bounds_s(target.percentile)
    fewest, most = summary.within(target.limit_s)
    verdict, note = Observed.CANNOT_TELL, ""
    if high_s <= target.limit_s:
        verdict = Observed.MET
    elif low_s > target.limit_s:
        verdict = Observed.MISSED
    elif summary.requests < (needed := requests_needed(target.percentile)):
        note = f"too few requests to be sure: at least {needed}, and none of them over the limit"
    elif math.isinf(high_s):
        note = (
            f"no exported quantile is surely above {target.label} of {summary.requests} requests: more requests in the "
            "last minute, or another quantile (--metrics-config=summary_quantiles), would bound it"
        )
    else:
        note = "too close to the limit for what the summary tells"
    return ObjectiveItem(
        metric="e2e",
        label=target.label,
        limit_s=target.limit_s,
        predicted_s=predicted,
        low_s=low_s,
        high_s=high_s,
        requests=summary.requests,
        fewest_within=fewest,
        most_within=most,
        confidence=CONFIDENCE,
        verdict=verdict,
        note=note,
    )
