"""Small questions about an ONNX graph that several passes ask."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

STANDARD_DOMAINS = ("", "ai.onnx")
Array = npt.NDArray[np.generic]
WEIGHTED_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FLOAT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def opset(model: onnx.ModelProto) -> int:
    """The version of the standard operator set that the model imports (0 when it imports none)."""
    return next((entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS), 0)


def initializers(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Initialisers by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The node that makes each value."""
    return {output: node for node in graph.node for output in node.output if output}


def consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each value, in graph order; a node that reads a value twice is listed once."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            if name:
                readers.setdefault(name, []).append(node)
    return readers


def attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    """An attribute of a node."""
    return next((entry for entry in node.attribute if entry.name == name), None)


def int_attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """An integer attribute of a node."""
    found = attribute(node, name)
    return default if found is None else int(found.i)


def has_subgraph(node: onnx.NodeProto) -> bool:
    """Whether a node is control flow (If, Loop, Scan): it holds a graph."""
    return any(entry.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for entry in node.attribute)


def array(tensor: TensorProto) -> Array:
    """The values of an initialiser."""
    return numpy_helper.to_array(tensor)


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """The ONNX element type of every value whose type shape inference finds."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=False)
    types = {tensor.name: int(tensor.data_type) for tensor in inferred.graph.initializer}
    for info in _value_infos(inferred.graph):
        if info.type.HasField("tensor_type") and info.type.tensor_type.elem_type:
            types[info.name] = int(info.type.tensor_type.elem_type)
    return types


def _value_infos(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.value_info
    yield from graph.output


def without_stale_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model without recorded types of intermediate values (they are inferred again where they are needed)."""
    del model.graph.value_info[:]
    return model


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy to change; passes never change the model they are given."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result
