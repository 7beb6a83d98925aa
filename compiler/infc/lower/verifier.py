"""What must hold of the model before and after every pass. A violation names the pass that broke it."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower.passes import PassContext

_QDQ = ("QuantizeLinear", "DequantizeLinear")
_LOW = {TensorProto.FLOAT16: "FP16", TensorProto.BFLOAT16: "BF16"}
_ALLOWED_LOW = {
    Precision.FP32: frozenset[int](),
    Precision.FP16: frozenset({TensorProto.FLOAT16}),
    Precision.BF16: frozenset({TensorProto.BFLOAT16}),
    Precision.INT8: frozenset({TensorProto.FLOAT16}),
}


def verify(model: onnx.ModelProto, context: PassContext) -> tuple[str, ...]:
    """Every violated rule in words; empty when the model is sound.

    Rules: onnx.checker with type and shape inference; names are unique; inputs and outputs are those of the source;
    the only 16-bit float type is the one asked for; Q/DQ nodes are legal for the dialect.
    """
    unsound = checker_problem(model)
    if unsound is not None:
        return (unsound,)
    return (
        *_name_problems(model),
        *_interface_problems(model, context),
        *_leftover_problems(model, context),
        *_qdq_problems(model, context),
    )


def checker_problem(model: onnx.ModelProto) -> str | None:
    """What onnx.checker says of the model, with types and shapes inferred; None when it has no objection."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return f"onnx.checker: {str(error).strip().splitlines()[0]}"
    return None


def source_problems(model: onnx.ModelProto, context: PassContext) -> tuple[str, ...]:
    """Why a sound source cannot be lowered to this precision: 16-bit weights or Q/DQ nodes that no pass would make."""
    return (*_leftover_problems(model, context), *_qdq_problems(model, context))


def _name_problems(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    nodes = Counter(node.name for node in graph.node if node.name)
    values = Counter(output for node in graph.node for output in node.output if output)
    values.update(value.name for value in graph.input)
    values.update(tensor.name for tensor in graph.initializer if tensor.name not in {v.name for v in graph.input})
    return [f"node name {name} occurs {count} times" for name, count in nodes.items() if count > 1] + [
        f"value {name} is defined {count} times" for name, count in values.items() if count > 1
    ]


def _interface_problems(model: onnx.ModelProto, context: PassContext) -> list[str]:
    problems = []
    weights = g.initializers(model.graph)
    inputs = [value for value in model.graph.input if value.name not in weights]
    for what, values, specs in (
        ("input", inputs, context.profile.inputs),
        ("output", list(model.graph.output), context.profile.outputs),
    ):
        have = {value.name: value.type.tensor_type.elem_type for value in values}
        want = {spec.name: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)) for spec in specs}
        if have != want:
            problems.append(f"the model's {what}s changed from {_typed(want)} to {_typed(have)}")
    return problems


def _typed(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {TensorProto.DataType.Name(kind).lower()}" for name, kind in values.items())


def _leftover_problems(model: onnx.ModelProto, context: PassContext) -> list[str]:
    allowed = _ALLOWED_LOW.get(context.precision, frozenset())
    source = {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(s.dtype)) for s in context.profile.inputs}
    return [
        f"initialiser {tensor.name} is {_LOW[tensor.data_type]} in a {context.precision.value} model"
        for tensor in model.graph.initializer
        if tensor.data_type in _LOW and tensor.data_type not in allowed and tensor.data_type not in source
    ]


def _qdq_problems(model: onnx.ModelProto, context: PassContext) -> list[str]:
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
        problems += _axis_problems(node, scale, weights, readers)
        if context.settings.dialect == "tensorrt":
            problems += _tensorrt_problems(node, weights)
    return problems


def _tensorrt_problems(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> list[str]:
    """Source: TensorRT explicit quantisation (symmetric, no int32), and its refusals as seen with TensorRT-RTX 1.7."""
    problems = []
    zero_point = weights.get(node.input[2]) if len(node.input) > 2 else None
    if zero_point is not None and np.any(g.array(zero_point).astype(np.float32)):
        problems.append(f"{node.name}: TensorRT takes symmetric quantisation only, the zero point is not 0")
    if zero_point is not None and zero_point.data_type == TensorProto.UINT8:
        problems.append(f"{node.name}: TensorRT takes int8, not uint8")
    quantized = weights.get(node.input[0])
    if quantized is not None and quantized.data_type == TensorProto.INT32:
        problems.append(f"{node.name}: TensorRT takes no int32 bias behind DequantizeLinear")
    return problems


def _axis_problems(
    node: onnx.NodeProto,
    scale: TensorProto,
    weights: dict[str, TensorProto],
    readers: dict[str, list[onnx.NodeProto]],
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
    for reader in readers.get(node.output[0], []):
        wanted = _output_channel_axis(reader, node.output[0], len(quantized.dims))
        if wanted is not None and wanted != axis:
            problems.append(f"{node.name}: scales run along axis {axis}, {reader.op_type} needs axis {wanted}")
    return problems


def _output_channel_axis(reader: onnx.NodeProto, name: str, rank: int) -> int | None:
    if len(reader.input) < 2 or reader.input[1] != name:
        return None
    match reader.op_type:
        case "Conv":
            return 0
        case "ConvTranspose":
            return 1
        case "Gemm":
            return 0 if g.int_attribute(reader, "transB", 0) else 1
        case "MatMul":
            return rank - 1
    return None
