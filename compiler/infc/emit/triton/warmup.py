"""Warm-up samples: batch and axis sizes at which a fresh instance would otherwise answer its first requests late."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infc.emit.triton.tensors import TritonTensor
from infc.ir.problem import AxisDistribution


@dataclass(frozen=True, kw_only=True)
class WarmupSample:
    """One execution at start: `dims` by input name, the batch left out.

    `batch_size` is 1 for models that do not batch: Triton 2.51 skips a sample of batch size 0 without a word.
    """

    name: str
    batch_size: int
    dims: Mapping[str, tuple[int, ...]]


def warmup_samples(
    inputs: Sequence[TritonTensor], batch_sizes: Sequence[int], axes: Mapping[str, AxisDistribution]
) -> tuple[WarmupSample, ...]:
    """Samples for each batch size at the median and at the largest size of every dynamic axis, largest last.

    Empty when an axis of an input has no size in the workload: then no shape is known to be valid.

    >>> tensor = TritonTensor(name="ids", data_type="TYPE_INT64", dims=(-1,), axes=("sequence",), is_scalar=False)
    >>> sizes = {"sequence": AxisDistribution(percentiles={50.0: 24}, maximum=128)}
    >>> [(sample.name, sample.dims["ids"]) for sample in warmup_samples([tensor], [1, 8], sizes)]
    [('batch1-median', (24,)), ('batch8-median', (24,)), ('batch1-max', (128,)), ('batch8-max', (128,))]
    """
    used = sorted({axis for tensor in inputs for axis in tensor.axes if isinstance(axis, str)})
    if any(axis not in axes for axis in used):
        return ()
    points = {"max": {axis: axes[axis].maximum for axis in used}}
    median = {axis: _median(axes[axis]) for axis in used}
    if median != points["max"]:
        points = {"median": median, **points}
    return tuple(
        WarmupSample(
            name=f"batch{batch_size}" + (f"-{label}" if used else ""),
            batch_size=batch_size,
            dims={tensor.name: _dims(tensor, sizes) for tensor in inputs},
        )
        for label, sizes in points.items()
        for batch_size in sorted(set(batch_sizes))
    )


def _median(axis: AxisDistribution) -> int:
    return axis.percentiles.get(50.0, axis.maximum)


def _dims(tensor: TritonTensor, sizes: Mapping[str, int]) -> tuple[int, ...]:
    if tensor.is_scalar:
        return (1,)
    return tuple(axis if isinstance(axis, int) else sizes[axis] for axis in tensor.axes)
