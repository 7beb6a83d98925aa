"""What Q/DQ nodes must look like for who reads them, and where they must stand."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower.passes import PassContext
from infc.lower.placement import BLOCK_SIZES, candidates, channel_axis, summed_axis

_QDQ = ("QuantizeLinear", "DequantizeLinear")
_STORED: Mapping[int, Precision] = {
    TensorProto.INT8: Precision.INT8,
    TensorProto.UINT8: Precision.INT8,
    TensorProto.INT32: Precision.INT8,
    TensorProto.FLOAT8E4M3FN: Precision.FP8,
    TensorProto.INT4: Precision.INT4,
}
_OPSET: Mapping[Precision, int] = {Precision.INT8: 10, Precision.FP8: 19, Precision.INT4: 21}
_REFUSED: Mapping[int, str] = {
    TensorProto.UINT8: "TensorRT takes int8, not uint8",
    TensorProto.INT32: "TensorRT takes no int32 bias behind DequantizeLinear",
    TensorProto.UINT4: "TensorRT takes int4, not uint4",
    TensorProto.FLOAT8E5M2: "TensorRT takes FP8 as E4M3 only",
    TensorProto.FLOAT8E4M3FNUZ: "TensorRT takes FP8 as E4M3 only",
    TensorProto.FLOAT8E5M2FNUZ: "TensorRT takes FP8 as E4M3 only",
}


def qdq_problems(model: onnx.ModelProto, context: PassContext) -> list[str]:
    """Every Q/DQ node that its reader would refuse or read otherwise than it was meant."""
    weights = g.initializers(model.graph)
    readers = g.consumers(model.graph)
    problems = []
    for node in model.graph.node:
        if node.op_type not in _QDQ:
            continue
        scale = weights.get(node.input[1])
        if scale is None:
            problems.append(f"{node.name}: the scale is not a constant")
            continue
        if not np.all(g.array(scale).astype(np.float32) > 0):
            problems.append(f"{node.name}: a scale is not positive")
        problems += _type_problems(node, weights, context, g.opset(model))
        if g.int_attribute(node, "block_size", 0):
            problems += _block_problems(node, scale, weights, readers)
        else:
            problems += _axis_problems(node, scale, weights, readers)
        if context.settings.dialect == "tensorrt" or context.precision is not Precision.INT8:
            problems += _tensorrt_problems(node, weights)
    return problems


def _stored_type(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> int:
    """The quantised type of a Q/DQ node (uint8 where nothing says otherwise, as ONNX has it)."""
    zero_point = weights.get(node.input[2]) if len(node.input) > 2 else None
    known = weights.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
    tensor = zero_point if zero_point is not None else known
    return TensorProto.UINT8 if tensor is None else int(tensor.data_type)


def _type_problems(
    node: onnx.NodeProto, weights: Mapping[str, TensorProto], context: PassContext, version: int
) -> list[str]:
    stored = _STORED.get(_stored_type(node, weights))
    if stored is None:
        return []
    problems = []
    if context.precision in (Precision.FP8, Precision.INT4, Precision.INT8) and stored is not context.precision:
        problems.append(f"{node.name}: {stored.value} in a model for {context.precision.value}")
    if stored is Precision.INT4 and (node.op_type == "QuantizeLinear" or node.input[0] not in weights):
        problems.append(f"{node.name}: INT4 is for weights only")
    if version < _OPSET[stored]:
        problems.append(f"{node.name}: {stored.value} needs opset {_OPSET[stored]}, the model has {version}")
    return problems


def _tensorrt_problems(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> list[str]:
    """Source: TensorRT explicit quantisation (symmetric, no int32), and its refusals as seen with TensorRT-RTX 1.7."""
    problems = []
    zero_point = weights.get(node.input[2]) if len(node.input) > 2 else None
    if zero_point is not None and np.any(g.array(zero_point).astype(np.float32)):
        problems.append(f"{node.name}: TensorRT takes symmetric quantisation only, the zero point is not 0")
    refusal = _REFUSED.get(_stored_type(node, weights))
    if refusal is not None:
        problems.append(f"{node.name}: {refusal}")
    return problems


def _block_problems(
    node: onnx.NodeProto,
    scale: TensorProto,
    weights: Mapping[str, TensorProto],
    readers: Mapping[str, list[onnx.NodeProto]],
) -> list[str]:
    """What is wrong with scales in blocks.

    Source: TensorRT's quantisation schemes (blocks of 64 or 128 in the last two dimensions), and what TensorRT-RTX 1.7
    says of a rest ("must divide into whole blocks").
    """
    size = g.int_attribute(node, "block_size", 0)
    tensor = weights.get(node.input[0])
    if tensor is None:
        return [f"{node.name}: an activation in blocks"]
    axis = g.int_attribute(node, "axis", 1) % max(1, len(tensor.dims))
    problems = []
    if size not in BLOCK_SIZES:
        problems.append(
            f"{node.name}: blocks of {size}, TensorRT has kernels for {BLOCK_SIZES[1]} and {BLOCK_SIZES[0]}"
        )
    if tensor.dims[axis] % size:
        problems.append(f"{node.name}: {tensor.dims[axis]} elements do not divide into whole blocks of {size}")
    wanted = [dim // size if i == axis else dim for i, dim in enumerate(tensor.dims)]
    if list(scale.dims) != wanted:
        problems.append(f"{node.name}: scales of shape {list(scale.dims)}, the blocks need {wanted}")
    for reader in _weight_readers(node, readers):
        if summed_axis(reader) != axis:
            problems.append(
                f"{node.name}: blocks run along axis {axis}, {reader.op_type} sums over {summed_axis(reader)}"
            )
    return problems


def _axis_problems(
    node: onnx.NodeProto,
    scale: TensorProto,
    weights: Mapping[str, TensorProto],
    readers: Mapping[str, list[onnx.NodeProto]],
) -> list[str]:
    if not scale.dims or scale.dims[0] == 1:
        return []
    quantized = weights.get(node.input[0])
    if quantized is None:
        return [f"{node.name}: an activation has one scale per channel"]
    axis = g.int_attribute(node, "axis", 1) % max(1, len(quantized.dims))
    if quantized.dims[axis] != scale.dims[0]:
        return [f"{node.name}: {scale.dims[0]} scales for {quantized.dims[axis]} channels on axis {axis}"]
    problems = []
    for reader in _weight_readers(node, readers):
        wanted = channel_axis(reader, len(quantized.dims))
        if wanted != axis:
            problems.append(f"{node.name}: scales run along axis {axis}, {reader.op_type} needs axis {wanted}")
    return problems


def _weight_readers(node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]]) -> list[onnx.NodeProto]:
    """The weighted operators that take a node's output as their weights."""
    return [
        reader
        for reader in readers.get(node.output[0], [])
        if reader.op_type in g.WEIGHTED_OPS and len(reader.input) > 1 and reader.input[1] == node.output[0]
    ]


def placement_problems(model: onnx.ModelProto, context: PassContext, reports: Sequence[PassReport]) -> list[str]:
    """Operators that were to keep their precision and have Q/DQ, and those without Q/DQ that no report speaks of."""
    report = next((report for report in reports if report.name == "quantize"), None)
    if report is None:
        return []
    op_types = candidates(model, context.precision, context.settings)
    made = g.producers(model.graph)
    types = g.element_types(model)
    asked = set(context.settings.kept)
    problems = []
    for node in model.graph.node:
        fed = [_is_dequantized(name, made) for name in node.input]
        if node.name in asked and any(fed):
            problems.append(f"{node.name} was to keep its precision and has Q/DQ")
        if node.op_type not in op_types or node.domain not in g.STANDARD_DOMAINS or node.name in report.kept:
            continue
        if types.get(node.output[0]) in g.FLOAT_TYPES and not any(fed):
            problems.append(f"{node.op_type} {node.name} has no Q/DQ and no reason for it")
    return problems


def _is_dequantized(name: str, made: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether a value comes out of a DequantizeLinear, directly or through a change of float type."""
    node = made.get(name)
    while node is not None and node.op_type == "Cast":
        node = made.get(node.input[0])
    return node is not None and node.op_type == "DequantizeLinear"
