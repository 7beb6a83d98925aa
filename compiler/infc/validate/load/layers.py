"""Service times by batch size, from a series of looks at the server's statistics."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist, mean, stdev

from infc.ir.interval import Interval
from infc.ir.service_time import ServiceTimePoint
from infc.serve.statistics import ModelStatistics

MIN_EXECUTIONS = 10
"""Executions below which a batch size is not worth keeping."""
CONFIDENCE = 0.9
_MIN_WINDOWS = 4


def service_time_points(snapshots: Sequence[ModelStatistics], axes: dict[str, int]) -> tuple[ServiceTimePoint, ...]:
    """Seconds of one execution (compute input, infer and output) for every batch size that occurred often enough.

    The server tells sums, not single executions: the value is the mean over all, and its interval comes from the
    spread of the means between successive looks (normal approximation, weighted by executions); with few looks, from
    their extremes.

    Args:
        snapshots: counters at successive times, first and last included.
        axes: sizes of the dynamic axes of every request.
    """
    if len(snapshots) < 2:
        return ()
    total = snapshots[-1].since(snapshots[0])
    windows = [after.since(before) for before, after in pairwise(snapshots)]
    points = []
    for batch in total.batches:
        if batch.executions < MIN_EXECUTIONS:
            continue
        found = [b for window in windows for b in window.batches if b.batch_size == batch.batch_size]
        means = [b.service_s for b in found]
        weights = [b.executions for b in found]
        points.append(
            ServiceTimePoint(
                batch_size=batch.batch_size,
                axes=axes,
                seconds=_interval(batch.service_s, means, weights),
                executions=batch.executions,
            )
        )
    return tuple(points)


def _interval(value: float, means: Sequence[float], weights: Sequence[int]) -> Interval:
    if len(means) < _MIN_WINDOWS:
        return Interval(value=value, low=min(means), high=max(means))
    scaled = [m * w / mean(weights) for m, w in zip(means, weights, strict=True)]
    residuals = [s - value * w / mean(weights) for s, w in zip(scaled, weights, strict=True)]
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0) * stdev(residuals) / math.sqrt(len(means))
    return Interval(value=value, low=max(value - half, 0.0), high=value + half)
