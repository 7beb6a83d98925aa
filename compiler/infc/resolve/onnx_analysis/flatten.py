"""From onnx-ir's graph with shapes to the flat graph: constants folded, host-side shape arithmetic set apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from infc.resolve.onnx_analysis.graph import Attribute, Graph, Node, Shape, Value
from infc.resolve.onnx_analysis.shapes import InferredModel, inputs_of

MAX_HOST_ELEMENTS = 1024
MAX_NUMBERS = 64

_RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
)
_SHAPE_SOURCES = frozenset(("Shape", "Size"))
_SCALAR_ATTRIBUTES = (ir.AttributeType.INT, ir.AttributeType.FLOAT, ir.AttributeType.STRING)
_LIST_ATTRIBUTES = (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS)


@dataclass(kw_only=True)
class _Flattening:
    shapes: Mapping[int, Shape]
    values: dict[int, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    weights: dict[int, Value] = field(default_factory=dict)
    """Initializers and Constant tensors, by key."""
    read_weights: set[int] = field(default_factory=set)


def flatten(inferred: InferredModel) -> Graph:
    """The graph of what runs on the device.

    Bodies of If, Loop and Scan follow their operator once. Operators that read only constants are folded: their
    output is a weight of whoever reads it. Operators on shapes and indices (small integers from Shape) run on the
    host and cost nothing.
    """
    graph = inferred.model.graph
    state = _Flattening(shapes=inferred.shapes)
    inputs = tuple(_value(state, value) for value in inputs_of(graph))
    _walk(state, graph, "")
    outputs = tuple(_value(state, value) for value in graph.outputs)
    used = [state.weights[key] for key in sorted(state.read_weights)]
    return Graph(
        nodes=tuple(state.nodes),
        inputs=inputs,
        outputs=outputs,
        parameter_elements=sum(round(weight.elements.value or 0) for weight in used),
        weight_bytes=sum(-(-round(weight.elements.value or 0) * weight.bits // 8) for weight in used),
        opset=inferred.model.opset_imports.get("", 0),
    )


def _walk(state: _Flattening, graph: ir.Graph, body_of: str) -> None:
    for initializer in graph.initializers.values():
        _add_weight(state, initializer, initializer.const_value)
    if body_of:
        for formal in graph.inputs:
            _value(state, formal)
    for node in graph:
        if node.op_type == "Constant" and not node.domain:
            _add_weight(state, node.outputs[0], ir.convenience.get_const_tensor(node.outputs[0]))
            continue
        _add_node(state, node, body_of)
        for attribute in node.attributes.values():
            if not attribute.is_ref() and attribute.type is ir.AttributeType.GRAPH:
                _walk(state, attribute.as_graph(), node.name or node.op_type)


def _add_node(state: _Flattening, node: ir.Node, body_of: str) -> None:
    _require_text(node.name, node.op_type, node.domain)
    inputs = tuple(None if value is None or value.name == "" else _value(state, value) for value in node.inputs)
    arguments = [value for value in inputs if value is not None]
    for value in arguments:
        if value.key in state.weights:
            state.read_weights.add(value.key)
    has_body = any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
    is_constant = (
        bool(arguments or node.op_type in ("ConstantOfShape",))
        and not has_body
        and node.op_type not in _RANDOM
        and all(value.is_constant for value in arguments)
    )
    outputs = []
    for output in node.outputs:
        is_host = not is_constant and not has_body and _is_host(state, node, arguments, output)
        outputs.append(_value(state, output, is_constant=is_constant, is_host=is_host))
    if is_constant or all(output.is_host for output in outputs):
        return
    state.nodes.append(
        Node(
            name=node.name or outputs[0].name,
            domain=node.domain,
            op_type=node.op_type,
            inputs=inputs,
            outputs=tuple(output for output in outputs if output.name),
            attributes=_attributes(node),
            body_of=body_of,
        )
    )


def _require_text(*names: object) -> None:
    """Protobuf hands names that are not UTF-8 on as bytes."""
    if any(isinstance(name, bytes) for name in names):
        raise ValueError("a name in the graph is not UTF-8 text")


def _is_host(state: _Flattening, node: ir.Node, arguments: list[Value], output: ir.Value) -> bool:
    """Whether the runtime computes this on the host: vectors of sizes and indices that come from shapes alone."""
    shape = state.shapes.get(id(output))
    if node.op_type in _SHAPE_SOURCES and not node.domain:
        return True
    if not arguments or not all(value.is_constant or value.is_host for value in arguments):
        return False
    if shape is None or len(shape) > 1:
        return False
    size = shape[0].value if shape else 1.0
    return size is not None and size <= MAX_HOST_ELEMENTS


def _value(state: _Flattening, value: ir.Value, *, is_constant: bool = False, is_host: bool = False) -> Value:
    known = state.values.get(id(value))
    _require_text(value.name)
    if known is None and value.producer() is None and not value.is_graph_input():
        raise ValueError(f"an operator reads {value.name!r}, which nothing makes")
    if known is None:
        known = state.values[id(value)] = Value(
            key=len(state.values),
            name=value.name or "",
            dtype=dtype_name(value.dtype),
            bits=_bits(value.dtype),
            shape=state.shapes.get(id(value)),
            is_constant=is_constant,
            is_host=is_host,
        )
    return known


def _add_weight(state: _Flattening, value: ir.Value, tensor: ir.TensorProtocol | None) -> None:
    if id(value) in state.values:
        return
    shape = state.shapes.get(id(value))
    dtype = tensor.dtype if tensor is not None else value.dtype
    weight = Value(
        key=len(state.values),
        name=value.name or "",
        dtype=dtype_name(dtype),
        bits=_bits(dtype),
        shape=shape,
        is_constant=True,
        numbers=_numbers(tensor),
    )
    state.values[id(value)] = weight
    state.weights[weight.key] = weight


def _numbers(tensor: ir.TensorProtocol | None) -> tuple[float, ...] | None:
    if tensor is None or tensor.size > MAX_NUMBERS or tensor.dtype is ir.DataType.STRING:
        return None
    return tuple(float(number) for number in tensor.numpy().reshape(-1))


def dtype_name(dtype: ir.DataType | None) -> str:
    """The numpy name of an ONNX element type; `object` for strings.

    >>> dtype_name(ir.DataType.FLOAT), dtype_name(ir.DataType.STRING)
    ('float32', 'object')
    """
    if dtype is None or dtype is ir.DataType.UNDEFINED:
        return "float32"
    return "object" if dtype is ir.DataType.STRING else str(dtype.numpy())


def _bits(dtype: ir.DataType | None) -> int:
    if dtype is None or dtype in (ir.DataType.UNDEFINED, ir.DataType.STRING):
        return 32
    return round(dtype.itemsize * 8)


def _attributes(node: ir.Node) -> dict[str, Attribute]:
    kept: dict[str, Attribute] = {}
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            continue
        if attribute.type in _SCALAR_ATTRIBUTES:
            kept[name] = attribute.value
        elif attribute.type in _LIST_ATTRIBUTES:
            kept[name] = tuple(attribute.value)
    return kept
