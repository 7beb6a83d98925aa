"""Which operators of a model get Q/DQ nodes, and why the others get none: one rule for INT8, FP8 and INT4."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower.settings import LoweringSettings

QUANTISED = (Precision.INT8, Precision.FP8, Precision.INT4)
PRODUCTS = ("Gemm", "MatMul")
CONVOLUTIONS = ("Conv", "ConvTranspose")
# fmt: off
CNN_OPS = (
    "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "Relu", "Reshape", "Squeeze",
    "Transpose", "Unsqueeze",
)
# fmt: on
BLOCK_SIZES = (128, 64)
"""INT4 block sizes along the summed axis that TensorRT has kernels for. Source: its "Quantization Schemes" page."""
FEW_WEIGHTS = 2**14
"""A matrix with fewer weights (32 KiB in FP16) gains nothing from INT4."""
FP8_CHANNELS = 16
FP8_FILTER = 32
"""TensorRT's FP8 convolutions gain nothing up to 16 channels, and have no kernel above 32 filter taps or for groups.

Source: the exclusions of nvidia-modelopt 0.47 (`find_nodes_from_convs_to_exclude`); TensorRT release notes 10.12 for
groups ("no optimized FP8 Convolutions for Group Convolutions and Depthwise Convolutions").
"""
KEPT_REASON = "raised back to keep the accuracy"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Operators that get Q/DQ nodes, in graph order, and the others of their types with the reason."""

    chosen: tuple[str, ...]
    left: Mapping[str, str]


def candidates(model: onnx.ModelProto, precision: Precision, settings: LoweringSettings) -> tuple[str, ...]:
    """The operator types that a precision quantises: those with weights; on the CPU what stands between them, too."""
    if precision is Precision.INT4:
        return PRODUCTS
    is_cnn = any(node.op_type in CONVOLUTIONS for node in model.graph.node)
    is_chained = precision is Precision.INT8 and settings.dialect == "onnxruntime" and is_cnn
    return (*g.WEIGHTED_OPS, *CNN_OPS) if is_chained else g.WEIGHTED_OPS


def place(model: onnx.ModelProto, precision: Precision, settings: LoweringSettings) -> Placement:
    """Decide for every operator of the candidate types; depends on the graph and its weights only.

    Shape arithmetic (a Concat of integers) is no candidate.
    """
    op_types = candidates(model, precision, settings)
    facts = _Facts(weights=g.initializers(model.graph), types=g.element_types(model), dialect=settings.dialect)
    chosen: list[str] = []
    left: dict[str, str] = {}
    chained: set[str] = set()
    for node in model.graph.node:
        if node.op_type not in op_types or node.domain not in g.STANDARD_DOMAINS:
            continue
        if facts.types.get(node.output[0]) != TensorProto.FLOAT:
            continue
        reason = KEPT_REASON if node.name in settings.kept else _reason(node, facts, precision, settings, chained)
        if reason is None:
            chosen.append(node.name)
        else:
            left[node.name] = reason
        if reason is None and node.op_type not in PRODUCTS:
            chained.update(node.output)
    return Placement(chosen=tuple(chosen), left=left)


@dataclass(frozen=True, kw_only=True)
class _Facts:
    weights: Mapping[str, TensorProto]
    types: Mapping[str, int]
    dialect: str


def _reason(
    node: onnx.NodeProto, facts: _Facts, precision: Precision, settings: LoweringSettings, chained: set[str]
) -> str | None:
    """Why an operator of a candidate type gets no Q/DQ; None when it does."""
    if node.op_type in CNN_OPS:
        return None if _is_between(node, chained, facts.types) else "not between convolutions"
    if precision is Precision.INT4:
        return _int4_reason(node, facts.weights)
    second = facts.weights.get(node.input[1])
    if second is None:
        if node.op_type != "MatMul":
            return "its weights are computed"
        if node.input[0] in facts.weights:
            return "its weights stand on the left"
        return None if settings.is_attention_quantized else "product of two activations (attention)"
    if precision is Precision.FP8:
        return _fp8_reason(node, second)
    return None


def _is_between(node: onnx.NodeProto, chained: set[str], types: Mapping[str, int]) -> bool:
    """Whether every float operand that decides the range comes from a convolution, directly or through such operators.

    Arithmetic with constants and on other values (a normalisation, an activation function in pieces) loses too much
    in 8 bits.
    """
    bounds = 1 if node.op_type == "Clip" else len(node.input)
    operands = [name for name in node.input[:bounds] if types.get(name) == TensorProto.FLOAT]
    return all(name in chained for name in operands)


def _fp8_reason(node: onnx.NodeProto, weights: TensorProto) -> str | None:
    if node.op_type not in CONVOLUTIONS:
        return None
    if g.int_attribute(node, "group", 1) > 1:
        return "TensorRT has no FP8 kernel for convolutions in groups"
    if min(weights.dims[0], weights.dims[1]) <= FP8_CHANNELS:
        return f"FP8 gains nothing up to {FP8_CHANNELS} channels"
    if int(np.prod(weights.dims[2:])) > FP8_FILTER:
        return f"TensorRT has no FP8 kernel above {FP8_FILTER} filter taps"
    return None


def _int4_reason(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> str | None:
    tensor = weights.get(node.input[1])
    if tensor is None:
        is_left = node.input[0] in weights
        return "its weights stand on the left" if is_left else "product of two activations: it has no weights"
    if len(tensor.dims) != 2:
        return f"its weights have {len(tensor.dims)} dimensions, INT4 blocks need 2"
    summed = tensor.dims[summed_axis(node)]
    if block_size(summed) is None:
        return f"{summed} summed elements are not a multiple of {BLOCK_SIZES[-1]}"
    if tensor.dims[0] * tensor.dims[1] < FEW_WEIGHTS:
        return f"{tensor.dims[0] * tensor.dims[1]} weights are too few to gain"
    return None


def summed_axis(node: onnx.NodeProto) -> int:
    """The axis of a product's two-dimensional weights that is summed over."""
    return 1 if node.op_type == "Gemm" and g.int_attribute(node, "transB", 0) else 0


def channel_axis(node: onnx.NodeProto, rank: int) -> int:
    """The axis of an operator's weights that runs over its output channels."""
    match node.op_type:
        case "ConvTranspose":
            return 1
        case "Gemm":
            return 0 if g.int_attribute(node, "transB", 0) else 1
        case "MatMul":
            return rank - 1
    return 0


def block_size(elements: int) -> int | None:
    """The largest INT4 block that divides so many elements.

    >>> block_size(384), block_size(320), block_size(100)
    (128, 64, None)
    """
    return next((size for size in BLOCK_SIZES if elements % size == 0), None)
