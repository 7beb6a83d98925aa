"""How many activation elements are alive at once, as a function of the axes."""

from collections.abc import Mapping, Sequence

from infc.ir.expression import ZERO, AxisExpression, maximum

MAX_PEAKS = 4
"""How many moments are kept as possible peaks; the rest is dominated at every probed size."""

_PROBES = (1.0, 16.0, 64.0, 256.0, 1024.0)


def peak_elements(live: Sequence[AxisExpression], axes: Sequence[str]) -> AxisExpression:
    """The largest of `live` for all sizes of the axes.

    Candidates are found by evaluating at probe sizes of every axis (all equal, and each alone large or small), so for
    a model whose peak moves with the axes the result is the maximum over the moments that win somewhere.
    """
    distinct = list(dict.fromkeys(live))
    if not distinct:
        return ZERO
    winners: dict[AxisExpression, int] = {}
    for point in _probe_points(axes):
        best = max(distinct, key=lambda expression: expression.at(point))
        winners[best] = winners.get(best, 0) + 1
    kept = sorted(winners, key=lambda expression: -winners[expression])[:MAX_PEAKS]
    return maximum(*kept)


def _probe_points(axes: Sequence[str]) -> list[Mapping[str, float]]:
    points: list[Mapping[str, float]] = [dict.fromkeys(axes, size) for size in _PROBES]
    for axis in axes:
        points += [{**dict.fromkeys(axes, 16.0), axis: size} for size in _PROBES]
    return points
