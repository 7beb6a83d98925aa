"""Which quantiles of the latency a server exports as summaries, and how exact each is."""

from collections.abc import Sequence

from infc.ir.problem import LatencyTarget

_ERRORS = ((0.999, 0.0001), (0.99, 0.001), (0.9, 0.005), (0.0, 0.05))
"""Error that Triton's metrics registry allows for a quantile's rank, as a share: tighter for the tail."""


def summary_quantiles(targets: Sequence[LatencyTarget]) -> str:
    """The value of `--metrics-config=summary_quantiles=`: usual quantiles, the targets', and some beside each target.

    Those beside a target are what `infc drift` bounds it with: a sampled percentile is only known between two others.

    >>> summary_quantiles([LatencyTarget(percentile=99.0, limit_s=0.1)])
    '0.5:0.05,0.95:0.005,0.98:0.005,0.99:0.001,0.995:0.001,0.999:0.0001'
    """
    quantiles = {0.5, 0.95, 0.99}
    for target in targets:
        share = target.percentile / 100.0
        quantiles |= {share, (1.0 + share) / 2.0, 1.0 - (1.0 - share) / 10.0, max(0.5, 2.0 * share - 1.0)}
    return ",".join(f"{each:g}:{quantile_error(each):g}" for each in sorted({round(each, 6) for each in quantiles}))


def quantile_error(quantile: float) -> float:
    """How far the rank of an exported quantile may be off, as a share of the requests."""
    return next(error for bound, error in _ERRORS if quantile >= bound)
