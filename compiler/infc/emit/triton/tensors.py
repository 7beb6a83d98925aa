"""The model's inputs and outputs as Triton describes them: data types, and dimensions with or without the batch."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.diag import Diagnostic
from infc.ir.model_profile import ModelProfile, TensorSpec

# Source: Triton model configuration, "Datatypes"; the left side is numpy's name.
TRITON_TYPES: Mapping[str, str] = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "bfloat16": "TYPE_BF16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "object": "TYPE_STRING",
    "str": "TYPE_STRING",
}


@dataclass(frozen=True, kw_only=True)
class TritonTensor:
    """One input or output of config.pbtxt. `dims` leaves the batch out where Triton batches; -1 is a dynamic size.

    `is_scalar` marks a tensor of which nothing is left without the batch: Triton needs one dimension, so `dims` is
    (1,) and the server reshapes it to nothing.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    axes: tuple[int | str, ...]
    is_scalar: bool


def triton_tensors(
    model: ModelProfile,
) -> tuple[tuple[TritonTensor, ...], tuple[TritonTensor, ...], tuple[Diagnostic, ...]]:
    """Inputs and outputs of `model` for config.pbtxt, and what Triton cannot carry of them.

    The leading dimension is left out when the model has a batch axis.
    """
    problems: list[Diagnostic] = []
    inputs = [_tensor(spec, model, problems) for spec in model.inputs]
    outputs = [_tensor(spec, model, problems) for spec in model.outputs]
    return (
        tuple(tensor for tensor in inputs if tensor),
        tuple(tensor for tensor in outputs if tensor),
        tuple(problems),
    )


def _tensor(spec: TensorSpec, model: ModelProfile, problems: list[Diagnostic]) -> TritonTensor | None:
    data_type = TRITON_TYPES.get(spec.dtype)
    if data_type is None:
        problems.append(
            Diagnostic(
                id="emit-tensor-type",
                message=f"Triton has no data type for tensor {spec.name!r} ({spec.dtype})",
                help="export the model with float, integer, bool or string inputs and outputs",
            )
        )
        return None
    axes = spec.shape
    if model.batch_axis is not None:
        if not axes or isinstance(axes[0], int):
            problems.append(_not_batched(spec, model))
            return None
        axes = axes[1:]
    dims = tuple(axis if isinstance(axis, int) else -1 for axis in axes)
    return TritonTensor(name=spec.name, data_type=data_type, dims=dims or (1,), axes=axes, is_scalar=not dims)


def _not_batched(spec: TensorSpec, model: ModelProfile) -> Diagnostic:
    shape = ", ".join(str(axis) for axis in spec.shape)
    return Diagnostic(
        id="emit-not-batched",
        message=f"tensor {spec.name!r} does not lead with the batch, so Triton cannot split it between requests",
        notes=(f"its shape is [{shape}]; the batch axis of this model is {model.batch_axis!r}",),
        help="export the model with the batch as the first dimension of every input and output, or with a fixed batch",
    )
