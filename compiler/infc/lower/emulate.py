"""16-bit arithmetic on a CPU that has none: the same numbers from FP32 kernels, rounded after every operator.

ONNX Runtime's CPU provider computes FP16 graphs in FP32 and rounds nothing between operators (1.31: the square root of
300 squared in FP16 is 300 there and infinite on a GPU), and it has no BF16 convolution at all. What an engine would
answer is therefore never what it answers. The emulated model says so with explicit casts, which ONNX Runtime keeps.
"""

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper, numpy_helper

from infc.lower import graph as g

_LOW = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
# fmt: off
EXACT_OPS = frozenset({
    "Abs", "Ceil", "Clip", "Compress", "Concat", "ConstantOfShape", "DepthToSpace", "Expand", "Flatten", "Floor",
    "Gather", "GatherElements", "GatherND", "GlobalMaxPool", "Identity", "Max", "MaxPool", "Min", "Neg", "Pad",
    "ReduceMax", "ReduceMin", "Relu", "Reshape", "ReverseSequence", "Round", "ScatterElements", "ScatterND", "Sign",
    "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where",
})
# fmt: on
"""Operators whose results are values of their inputs, negated at most: rounding them again changes nothing."""


def has_half_arithmetic(model: onnx.ModelProto) -> bool:
    """Whether an operator computes in FP16 or BF16, which the CPU would do in FP32: `emulated` makes it honest."""
    types = g.element_types(model)
    return any(
        types.get(name) in _LOW
        for node in model.graph.node
        if node.op_type != "Cast"
        for name in (*node.input, *node.output)
    )


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model in FP32 with the result of every FP16 and BF16 operator rounded to that format (ties to even).

    Weights keep their 16-bit values, inputs and outputs their types; Q/DQ nodes stay, with FP32 scales of the same
    value. An overflow becomes infinite, as on a GPU. Two things differ from an engine: it accumulates and rounds in an
    order of its own (products accumulate in FP32 on tensor cores, as here), and it rounds once where it fuses several
    operators, so that this is the pessimistic side. A model without 16-bit values is returned as it is.

    Run the result without graph rewrites (ORT_DISABLE_ALL), as every model with Q/DQ nodes.
    """
    if not has_half_arithmetic(model):
        return model
    types = g.element_types(model)
    model = g.copy(model)
    for tensor in model.graph.initializer:
        _widen(tensor)
    outputs = {value.name for value in model.graph.output}
    interface = outputs | {value.name for value in model.graph.input}
    wide = {name: f"{name}__widened" for name in interface if types.get(name) in _LOW}
    nodes = [
        _cast(value.name, wide[value.name], TensorProto.FLOAT) for value in model.graph.input if value.name in wide
    ]
    for node in model.graph.node:
        _widen_attributes(node)
        for index, name in enumerate(node.input):
            node.input[index] = wide.get(name, name)
        low = {index: types[name] for index, name in enumerate(node.output) if types.get(name) in _LOW}
        if node.op_type == "Cast" and low:
            _retarget(node)
        if node.op_type in EXACT_OPS:
            low = {index: kind for index, kind in low.items() if node.output[index] in outputs}
        nodes.append(node)
        nodes.extend(_rounding(node, low, wide))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return g.without_stale_types(model)


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type in _LOW:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), tensor.name))


def _widen_attributes(node: onnx.NodeProto) -> None:
    for entry in node.attribute:
        if entry.type == onnx.AttributeProto.TENSOR:
            _widen(entry.t)


def _retarget(node: onnx.NodeProto) -> None:
    for entry in node.attribute:
        if entry.name == "to":
            entry.i = TensorProto.FLOAT


def _rounding(node: onnx.NodeProto, low: Mapping[int, int], wide: Mapping[str, str]) -> list[onnx.NodeProto]:
    """The casts down and up again behind 16-bit outputs; the outputs of `node` get new names."""
    casts = []
    for index, kind in low.items():
        name = node.output[index]
        rounded = name if name in wide else f"{name}__rounded"
        node.output[index] = f"{name}__exact"
        casts.append(_cast(node.output[index], rounded, kind))
        casts.append(_cast(rounded, wide.get(name, name), TensorProto.FLOAT))
    return casts


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"{target}__emulated", to=to)
