"""Optimization profiles: which shapes an engine must accept, from the planned batch and the traffic's axes."""

from collections.abc import Mapping

from infc.ir.engine import ShapeRange
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.problem import AxisDistribution

MEDIAN = 50.0


def shape_ranges(
    model: ModelProfile,
    max_batch_size: int,
    axes: Mapping[str, AxisDistribution],
    optimum_batch_size: int | None = None,
) -> tuple[ShapeRange, ...]:
    """Minimum, optimum and maximum shape of every input.

    The batch runs from 1 to `max_batch_size` (optimum: `optimum_batch_size`, else the maximum), every other axis from
    1 to the maximum of its distribution with the median as optimum. Raises KeyError for a dynamic axis without a
    distribution.
    """
    optimum = optimum_batch_size or max_batch_size
    return tuple(
        ShapeRange(
            input_name=spec.name,
            minimum=_shape(spec, model, 1, dict.fromkeys(axes, 1)),
            optimum=_shape(spec, model, optimum, {name: _median(axis) for name, axis in axes.items()}),
            maximum=_shape(spec, model, max_batch_size, {name: axis.maximum for name, axis in axes.items()}),
        )
        for spec in model.inputs
    )


def _shape(spec: TensorSpec, model: ModelProfile, batch: int, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(
        dim if isinstance(dim, int) else batch if dim == model.batch_axis else sizes[dim] for dim in spec.shape
    )


def _median(axis: AxisDistribution) -> int:
    """The size at the percentile nearest the median; the maximum when no percentile is given."""
    if not axis.percentiles:
        return axis.maximum
    nearest = min(axis.percentiles, key=lambda p: (abs(p - MEDIAN), p))
    return axis.percentiles[nearest]
