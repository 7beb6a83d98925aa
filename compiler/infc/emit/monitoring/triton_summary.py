"""Which quantiles of latency Triton exports, and what they say about the share of requests that were late.

Triton has no histogram of latencies for models that answer once: its only one, of the time to the first response, is
made for decoupled models alone, whatever is configured. Its summaries are exact quantiles over the last minute. With
quantiles at chosen shares, that `share` of the requests were later than a limit is the same as the quantile `1 - share`
lying above it, so a ladder of quantiles tells the share of late requests to within a step.

Source: Triton core, metric_model_reporter.cc: `InitializeHistograms` (only if decoupled), `InitializeSummaries`;
prometheus-cpp's Summary: max_age of a minute in five age buckets.
"""

from collections.abc import Iterable

from infc.emit.monitoring.objectives import WINDOWS, Objective, latency_budget

_STANDARD_SHARES = (0.5, 0.05, 0.01)
_LADDER = (0.5, 1.0, 2.0, 4.0, 10.0, 30.0, 80.0)
"""Shares as multiples of the budget, besides those at which alerts fire."""
_RANK_ERROR = 0.1
"""Error that Triton may make in the rank of a quantile, as a part of the share above it."""


def late_shares(percentile: float) -> tuple[float, ...]:
    """Shares of late requests that are told apart for a goal of this percentile, ascending.

    >>> late_shares(99)
    (0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.144, 0.3, 0.8)
    >>> late_shares(50)
    (0.25, 0.5, 0.75)
    """
    budget = latency_budget(percentile)
    objective = Objective(id="", budget=budget, goal=None)
    shares = {round(multiple * budget, 9) for multiple in _LADDER}
    shares |= {objective.alert_share(window) for window in WINDOWS}
    return tuple(sorted(share for share in shares if share < 1.0))


def share_steps(shares: tuple[float, ...]) -> tuple[float, ...]:
    """What each of the shares adds to the estimate once more requests than that are late.

    Between two shares the estimate is their mean, below the lowest nothing, above the highest twice as much at most.

    >>> [round(step, 4) for step in share_steps((0.01, 0.02, 0.04))]
    [0.015, 0.015, 0.05]
    """
    above = (*shares[1:], min(3.0 * shares[-1], 1.0))
    values = [(low + high) / 2.0 for low, high in zip(shares, above, strict=True)]
    return tuple(value - before for value, before in zip(values, [0.0, *values], strict=False))


def quantile_text(share: float) -> str:
    """The quantile that `share` of the requests lie above, as the server is told.

    >>> quantile_text(0.144)
    '0.856'
    """
    return f"{1.0 - share:.9g}"


def quantile_label(share: float) -> str:
    """The same quantile as the server writes it in its metrics: with sixteen significant digits.

    Source: prometheus-cpp writes a double with `max_digits10 - 1` digits; seen on release 24.10.

    >>> quantile_label(0.144), quantile_label(0.06)
    ('0.856', '0.9399999999999999')
    """
    return f"{float(quantile_text(share)):.16g}"


def summary_quantiles(percentiles: Iterable[float]) -> str:
    """The value of `summary_quantiles` for goals of these percentiles: `quantile:error`, ascending.

    >>> summary_quantiles([50])
    '0.25:0.075,0.5:0.05,0.75:0.025,0.95:0.005,0.99:0.001'
    """
    shares = {*_STANDARD_SHARES, *(share for each in percentiles for share in late_shares(each))}
    return ",".join(f"{quantile_text(share)}:{share * _RANK_ERROR:.3g}" for share in sorted(shares, reverse=True))


def rank_error(quantile: float) -> float:
    """How far the rank of an exported quantile may be off, as a share of the requests.

    >>> round(rank_error(0.99), 6)
    0.001
    """
    return (1.0 - quantile) * _RANK_ERROR


def metrics_arguments(percentiles: Iterable[float]) -> tuple[str, ...]:
    """Arguments of tritonserver that make it export what alerts and dashboards read."""
    return (
        "--metrics-config=summary_latencies=true",
        f"--metrics-config=summary_quantiles={summary_quantiles(percentiles)}",
    )
