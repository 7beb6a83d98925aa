"""Small constants computed ahead, and branches taken that are known: what scripted exports leave in the graph.

Shape inference reads such values (the pads of a Pad, the rank that an If asks for) but does not compute them; without
them every size behind the operator is unknown.
"""

from collections.abc import Mapping
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from infc.resolve.onnx_analysis.shapes import HANDLER_ERRORS

NumpyArray: TypeAlias = npt.NDArray[np.generic]

MAX_FOLDED_ELEMENTS = 1024

# Operators whose result is at most the product of their (small) inputs: nothing here can ask for much memory.
_BOUNDED = frozenset((
    "Add", "And", "Cast", "Ceil", "Concat", "Div", "Equal", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual",
    "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "ReduceMax", "ReduceMin",
    "ReduceProd", "ReduceSum", "Reshape", "Shape", "Size", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
    "Where",
))  # fmt: skip
_SIZED_BY_INPUT = {"ConstantOfShape": 0, "Expand": 1}
"""Operators whose result has the size that this input says."""


def fold_small_constants(model: ir.Model) -> bool:
    """Replace operators on small constants and on known shapes by Constant nodes, and Ifs by their branch, in place.

    Returns whether anything was replaced; then more shapes may be inferred, and more folded after that.
    """
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    is_changed = False
    for graph in (*model.graph.subgraphs(), model.graph):
        outputs = {id(value) for value in graph.outputs}
        for node in tuple(graph):
            if node.op_type == "If" and not node.domain:
                is_changed |= _take_branch(graph, node)
            elif len(node.outputs) == 1 and id(node.outputs[0]) not in outputs:
                result = _from_shapes(node)
                if result is None and _is_foldable(node):
                    result = _evaluated(node, opsets)
                if result is not None:
                    _replace(graph, node, result)
                    is_changed = True
    return is_changed


def take_branches(model: ir.Model, ways: Mapping[int, bool]) -> None:
    """Replace the Ifs whose condition is known, by `id(node)`, by their branch, in place."""
    for graph in (*model.graph.subgraphs(), model.graph):
        for node in tuple(graph):
            if id(node) in ways:
                _take_way(graph, node, ways[id(node)])


def _take_branch(graph: ir.Graph, node: ir.Node) -> bool:
    """Put the branch of an If with a constant condition in its place."""
    condition = ir.convenience.get_const_tensor(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
    if condition is None or condition.size != 1:
        return False
    return _take_way(graph, node, bool(condition.numpy().reshape(-1)[0]))


def _take_way(graph: ir.Graph, node: ir.Node, way: bool) -> bool:
    attribute = node.attributes.get("then_branch" if way else "else_branch")
    if attribute is None or attribute.is_ref() or any(output.is_graph_output() for output in node.outputs):
        return False
    branch = attribute.as_graph()
    for initializer in tuple(branch.initializers.values()):
        branch.initializers.pop(initializer.name or "")
        graph.register_initializer(initializer)
    results = tuple(branch.outputs)
    branch.outputs.clear()
    for inner in tuple(branch):
        branch.remove(inner)
        graph.insert_before(node, inner)
    for old, new in zip(node.outputs, results, strict=True):
        ir.convenience.replace_all_uses_with(old, new)
    graph.remove(node, safe=True)
    return True


def _from_shapes(node: ir.Node) -> NumpyArray | None:
    """What Shape, Size of a Shape (the rank) and Gather from a Shape give where the sizes in question are numbers."""
    source = node.inputs[0] if node.inputs else None
    if node.domain or source is None:
        return None
    maker = source.producer()
    if node.op_type == "Shape" and source.shape is not None and not node.attributes:
        sizes = [size for size in source.shape if isinstance(size, int)]
        return np.array(sizes, dtype=np.int64) if len(sizes) == len(source.shape) else None
    if maker is None or maker.op_type != "Shape" or maker.domain or maker.attributes or maker.inputs[0] is None:
        return None
    shape = maker.inputs[0].shape
    if shape is None:
        return None
    if node.op_type == "Size":
        return np.array(len(shape), dtype=np.int64)
    index = ir.convenience.get_const_tensor(node.inputs[1]) if node.op_type == "Gather" and node.inputs[1] else None
    if index is None or index.size != 1 or not -len(shape) <= int(index.numpy().reshape(-1)[0]) < len(shape):
        return None
    size = shape[int(index.numpy().reshape(-1)[0])]
    return np.full(tuple(index.shape.numpy()), size, dtype=np.int64) if isinstance(size, int) else None


def _is_foldable(node: ir.Node) -> bool:
    if node.domain or not (node.op_type in _BOUNDED or node.op_type in _SIZED_BY_INPUT):
        return False
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return False
    tensors = [ir.convenience.get_const_tensor(value) for value in node.inputs if value is not None]
    if not tensors or not all(
        tensor is not None and tensor.size <= MAX_FOLDED_ELEMENTS and tensor.dtype is not ir.DataType.STRING
        for tensor in tensors
    ):
        return False
    sized_by = _SIZED_BY_INPUT.get(node.op_type)
    if sized_by is None:
        return True
    shape = tensors[sized_by] if sized_by < len(tensors) else None
    return shape is not None and prod(int(size) for size in shape.numpy().reshape(-1)) <= MAX_FOLDED_ELEMENTS


def _evaluated(node: ir.Node, opsets: list[onnx.OperatorSetIdProto]) -> NumpyArray | None:
    """The operator's result by onnx's reference implementation; None when that has none, or the result is large."""
    proto = ir.serde.serialize_node(node)
    names = [name for name in proto.input if name]
    feeds = {}
    for value in node.inputs:
        tensor = ir.convenience.get_const_tensor(value) if value is not None else None
        if value is not None and value.name and tensor is not None:
            feeds[value.name] = tensor.numpy()
    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(names)]
    outputs = [onnx.helper.make_value_info(proto.output[0], onnx.TypeProto())]
    graph = onnx.helper.make_graph([proto], "fold", inputs, outputs)
    try:
        (result,) = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=opsets)).run(None, feeds)
    except HANDLER_ERRORS:
        return None
    if not isinstance(result, np.ndarray | np.generic) or np.size(result) > MAX_FOLDED_ELEMENTS:
        return None
    return np.asarray(result)


def _replace(graph: ir.Graph, node: ir.Node, result: NumpyArray) -> None:
    constant = ir.node("Constant", [], attributes={"value": ir.tensor(result)}, name=node.name)
    old, new = node.outputs[0], constant.outputs[0]
    new.name = old.name
    graph.insert_before(node, constant)
    ir.convenience.replace_all_uses_with(old, new)
    graph.remove(node, safe=True)
