"""The requests that a load test sends: real samples where there are some, else synthetic ones; serialised once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from infc.diag import ToolError
from infc.ir.model_profile import TensorSpec
from infc.ir.problem import AxisDistribution
from infc.validate.contract import ServedModel

AxisSizes: TypeAlias = Literal["padded", "drawn"]
"""Sizes of dynamic axes: all at the maximum, as clients of a batching server pad them, or drawn from the workload."""
Tensor: TypeAlias = NDArray[np.generic]

MAX_DISTINCT = 64
_MAX_TOTAL_BYTES = 64 << 20

# Source: Triton, "Tensor Data Type".
_TRITON_TYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}


def draw_sizes(
    axes: Mapping[str, AxisDistribution], count: int, sizes: AxisSizes, rng: np.random.Generator
) -> list[dict[str, int]]:
    """Sizes of every axis for `count` requests.

    A drawn size is uniform between two stated percentiles; below the lowest it scales down to 1, above the highest up
    to the maximum.
    """
    if sizes == "padded":
        return [{name: axis.maximum for name, axis in axes.items()}] * count
    columns = {}
    for name, axis in axes.items():
        known = sorted(axis.percentiles.items())
        shares = [0.0, *(percentile / 100.0 for percentile, _ in known), 1.0]
        values = [1.0, *(float(size) for _, size in known), float(axis.maximum)]
        columns[name] = np.rint(np.interp(rng.random(count), shares, values)).astype(int)
    return [{name: int(column[i]) for name, column in columns.items()} for i in range(count)]


def request_messages(
    model: ServedModel,
    axes: Mapping[str, AxisDistribution],
    *,
    samples: Path | None,
    sizes: AxisSizes = "padded",
    seed: int = 0,
    limit: int = MAX_DISTINCT,
) -> list[bytes]:
    """Up to `limit` distinct requests for one sample each, as serialised ModelInferRequest messages.

    Args:
        model: whose inputs to fill.
        axes: distributions of its dynamic axes.
        samples: an `.npz` with arrays named like the inputs, first dimension samples; None: synthetic values.
        sizes: how large dynamic axes are.
        seed: of the sizes and of synthetic values.
        limit: distinct requests at most; fewer when they are large.

    Raises:
        ToolError: an input has a type or size that no request can be made for, or tritonclient is not installed.
    """
    rng = np.random.default_rng(seed)
    rows = _read_samples(samples, model.inputs) if samples else {}
    messages: list[bytes] = []
    total = 0
    for index, size in enumerate(draw_sizes(axes, limit, sizes, rng)):
        tensors = [_tensor(spec, model, size, rows.get(spec.name), index, rng) for spec in model.inputs]
        message = _message(model, tensors)
        total += len(message)
        if messages and total > _MAX_TOTAL_BYTES:
            break
        messages.append(message)
    return messages


def _read_samples(path: Path, inputs: Sequence[TensorSpec]) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = {spec.name: spec.name if spec.name in arrays else f"{spec.name}__a" for spec in inputs}
            return {name: arrays[key][: 4 * MAX_DISTINCT] for name, key in names.items() if key in arrays}
    except (OSError, ValueError) as error:
        raise ToolError(f"cannot read request samples from {path.name}: {error}") from error


def _tensor(
    spec: TensorSpec,
    model: ServedModel,
    sizes: Mapping[str, int],
    rows: Tensor | None,
    index: int,
    rng: np.random.Generator,
) -> tuple[TensorSpec, Tensor]:
    shape = tuple(_dimension(spec, axis, model, sizes) for axis in spec.shape)
    if spec.dtype not in _TRITON_TYPES:
        raise ToolError(
            f"no requests can be made for input {spec.name} of type {spec.dtype}",
            help="use an endpoint and a client of your own for this model",
        )
    dtype = np.dtype(spec.dtype)
    if rows is None or not len(rows):
        return spec, synthetic(shape, dtype, rng)
    if model.batch_axis is None:
        picked = np.take(rows, range(index * shape[0], (index + 1) * shape[0]), axis=0, mode="wrap")
        return spec, _fitted(picked, shape).astype(dtype)
    return spec, _fitted(rows[index % len(rows)][np.newaxis], shape).astype(dtype)


def _dimension(spec: TensorSpec, axis: int | str, model: ServedModel, sizes: Mapping[str, int]) -> int:
    if isinstance(axis, int):
        return axis
    if axis == model.batch_axis:
        return 1
    if axis not in sizes:
        raise ToolError(
            f"the size of axis {axis} of input {spec.name} is not known",
            help=f"state it in the spec under workload.axes.{axis} and compile again",
        )
    return sizes[axis]


def _fitted(sample: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sample cut or, by repetition, grown to `shape`; same number of dimensions."""
    if sample.ndim != len(shape):
        raise ToolError(f"request samples have shape {list(sample.shape)}, the model takes {list(shape)}")
    for axis, size in enumerate(shape):
        if sample.shape[axis] != size:
            sample = np.take(sample, range(size), axis=axis, mode="wrap")
    return sample


def synthetic(shape: tuple[int, ...], dtype: np.dtype[np.generic], rng: np.random.Generator) -> Tensor:
    """Values for an input of which nothing is known.

    Standard normal floats; integers 0 and 1, which every vocabulary and mask has.
    """
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _message(model: ServedModel, tensors: Sequence[tuple[TensorSpec, Tensor]]) -> bytes:
    try:
        from tritonclient.grpc import service_pb2
    except ImportError as error:
        raise ToolError("a load test needs tritonclient", help="pip install 'infc[triton]'") from error
    request = service_pb2.ModelInferRequest(model_name=model.name)
    for spec, values in tensors:
        tensor = request.inputs.add(name=spec.name, datatype=_TRITON_TYPES[spec.dtype])
        # Triton's config of a batched scalar input has one dimension of size 1.
        is_scalar = model.batch_axis is not None and values.ndim == 1
        tensor.shape.extend([*values.shape, 1] if is_scalar else values.shape)
        request.raw_input_contents.append(np.ascontiguousarray(values).tobytes())
    content: bytes = request.SerializeToString()
    return content
