"""A model as the performance models see it: operators with FLOPs and bytes as functions of batch and axes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from infc.ir.expression import AxisExpression


class OperatorClass(StrEnum):
    """Classes of operators whose efficiency differs by kind."""

    CONV = "conv"
    GROUPED_CONV = "grouped-conv"
    DEPTHWISE_CONV = "depthwise-conv"
    GEMM = "gemm"
    ATTENTION = "attention"
    NORMALIZATION = "normalization"
    SOFTMAX = "softmax"
    REDUCTION = "reduction"
    ELEMENTWISE = "elementwise"
    EMBEDDING = "embedding"
    DATA_MOVEMENT = "data-movement"
    RECURRENT = "recurrent"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """An input or output of the model. A dimension is a fixed size or the name of an axis; dtype is numpy's name.

    An output's dimension may also be a formula over axes, in text (`floor((width + 3)/8)`); then `elements` is set.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    elements: AxisExpression | None = None

    def bytes_at(self, axes: Mapping[str, float]) -> float:
        """Size in bytes for these axes, the batch axis included; strings count 8 bytes. KeyError for a missing axis.

        >>> TensorSpec(name="x", dtype="float16", shape=("batch", 3)).bytes_at({"batch": 2})
        12.0
        """
        if self.elements is not None:
            return self.elements.at(axes) * _item_bytes(self.dtype)
        return prod(size if isinstance(size, int) else axes[size] for size in self.shape) * _item_bytes(self.dtype)


def _item_bytes(dtype: str) -> float:
    """Bytes of an element by the digits in its name: float32, uint4, float8_e4m3fn; bool is one byte."""
    bits = re.match(r"[a-z]+?(\d+)", dtype)
    return int(bits.group(1)) / 8 if bits else {"bool": 1.0}.get(dtype, 8.0)


@dataclass(frozen=True, kw_only=True)
class OperatorProfile:
    """One operator of the graph.

    `flops` counts 2 per multiply-add. `weight_elements` is the number of constant elements it reads;
    `input_elements` and `output_elements` count activation elements read and written (all functions of the axes).
    Operators with the same `fusion_group` run as one kernel: only elements that cross the group's border move through
    memory (`is_group_output` marks operators whose output leaves the group; `external_input_elements` are inputs from
    outside it; rows gathered from an embedding table count as such). Views and folded transposes have none of these.
    """

    name: str
    op_type: str
    operator_class: OperatorClass
    fusion_group: int
    flops: AxisExpression
    weight_elements: int
    input_elements: AxisExpression
    output_elements: AxisExpression
    external_input_elements: AxisExpression
    is_group_output: bool


@dataclass(frozen=True, kw_only=True)
class Caveat:
    """Something that the analysis of a model could not know: the id of a diagnostic, its message and what to do."""

    id: str
    message: str
    help: str


@dataclass(frozen=True, kw_only=True)
class ModelProfile:
    """Everything a plan needs to know of an ONNX model; stored, so that a later plan needs no weights.

    `digest` is the sha256 of the model file (external data included). `batch_axis` is the axis name that is the leading
    dimension of every input and output, or None when the batch is fixed (then `fixed_batch` says to what). `axes` are
    the other dynamic axes. `parameter_elements` counts weights; `weight_bytes` is their size as stored.
    `peak_activation_elements` is the liveness peak without fusion. `caveats` are what the analysis could not know.
    """

    name: str
    digest: str
    format: str
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_axis: str | None
    fixed_batch: int | None
    axes: tuple[str, ...]
    parameter_elements: int
    weight_bytes: int
    peak_activation_elements: AxisExpression
    operators: tuple[OperatorProfile, ...]
    caveats: tuple[Caveat, ...] = ()
