"""Shapes at fixed sizes of the axes, operator by operator, with the numbers that shapes are computed from.

Whole-graph inference loses sizes that the graph computes from other sizes (padding that depends on the input, windows,
grids of positions). Here every small tensor that depends on nothing but shapes is computed as the graph is walked, so
the operator behind it is inferred with its actual numbers. Repeated blocks are inferred once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from infc.resolve.onnx_analysis.graph import Shape
from infc.resolve.onnx_analysis.shapes import HANDLER_ERRORS, MAX_BELIEVABLE_SIZE

NumpyArray: TypeAlias = npt.NDArray[np.generic]
FixedShape: TypeAlias = tuple[int, ...] | None

MAX_COMPUTED_ELEMENTS = 1024

_COMPUTED = frozenset((
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Concat", "ConstantOfShape", "CumSum", "Div", "Equal",
    "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity",
    "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Range", "Reciprocal", "ReduceMax",
    "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape", "Round", "ScatterElements", "ScatterND", "Sign", "Slice",
    "Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where", "Xor",
))  # fmt: skip
"""Operators of shape arithmetic that are computed once the size of their result is known to be small."""
_STANDARD = ("", "ai.onnx")
_ONNX_ERRORS = (onnx.shape_inference.InferenceError, onnx.defs.SchemaError, onnx.checker.ValidationError)


@dataclass(frozen=True)
class _Fact:
    """What is known of a tensor: its ONNX element type, its shape, and its numbers when they are few."""

    element_type: int
    shape: FixedShape = None
    numbers: NumpyArray | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for tensors that are known alike."""
        return (self.element_type, self.shape, None if self.numbers is None else self.numbers.tobytes())


_Known: TypeAlias = tuple[_Fact | None, ...]


@dataclass(frozen=True, kw_only=True)
class Interpretation:
    """Shapes by `id(value)` at one choice of sizes, and which way each If with a known condition goes (by `id`)."""

    shapes: Mapping[int, tuple[int, ...]]
    branches: Mapping[int, bool]


@dataclass(kw_only=True)
class Interpreter:
    """Interprets one model at any sizes; what it learns of an operator serves its repetitions and later sizes.

    `symbolic` are the shapes that are taken where an operator cannot be inferred by itself (loops, vendor operators).
    """

    model: ir.Model
    symbolic: Mapping[int, Shape]
    _memory: dict[tuple[object, ...], _Known] = field(default_factory=dict)
    _attributes: dict[int, bytes] = field(default_factory=dict)
    _constants: dict[int, _Fact] = field(default_factory=dict)

    def at(self, sizes: Mapping[str, int]) -> Interpretation:
        """The shapes with the axes at `sizes`."""
        facts: dict[int, _Fact] = {}
        branches: dict[int, bool] = {}
        for value in self.model.graph.inputs:
            facts[id(value)] = _Fact(_element_type(value), _fixed(value.shape, sizes))
        self._walk(self.model.graph, facts, branches, sizes)
        shapes = {key: fact.shape for key, fact in facts.items() if fact.shape is not None}
        return Interpretation(shapes=shapes, branches=branches)

    def _walk(
        self, graph: ir.Graph, facts: dict[int, _Fact], branches: dict[int, bool], sizes: Mapping[str, int]
    ) -> None:
        for value in graph.initializers.values():
            facts[id(value)] = self._constant(value)
        for node in graph:
            if node.op_type == "Constant" and node.domain in _STANDARD:
                facts[id(node.outputs[0])] = self._constant(node.outputs[0])
                continue
            found: _Known
            if node.op_type == "If" and node.domain in _STANDARD:
                found = self._branch(node, facts, branches, sizes)
            elif _bodies(node):
                found = self._repeated(node, facts, branches, sizes)
            else:
                found = self._inferred(node, facts)
            for index, output in enumerate(node.outputs):
                fact = found[index] if index < len(found) else None
                is_known = fact is not None and fact.shape is not None
                facts[id(output)] = fact if fact is not None and is_known else self._fallback(output, sizes)

    def _repeated(
        self, node: ir.Node, facts: dict[int, _Fact], branches: dict[int, bool], sizes: Mapping[str, int]
    ) -> _Known:
        """The outputs of a Loop whose state keeps its shape from one run of the body to the next."""
        is_loop = node.op_type == "Loop" and node.domain in _STANDARD
        for body in _bodies(node):
            for index, value in enumerate(body.inputs):
                fact = self._fallback(value, sizes)
                if is_loop and index < 2:
                    fact = _Fact(fact.element_type, ())
                elif is_loop and index < len(node.inputs):
                    given = facts.get(id(node.inputs[index]))
                    fact = _Fact(given.element_type, given.shape) if given is not None else fact
                facts[id(value)] = fact
            self._walk(body, facts, {}, sizes)
        if not is_loop or len(_bodies(node)) != 1:
            return ()
        body = _bodies(node)[0]
        pairs = zip(body.inputs[2:], body.outputs[1:], strict=False)
        states = [(facts.get(id(before)), facts.get(id(after))) for before, after in pairs]
        return tuple(a if a is not None and b is not None and a.shape == b.shape else None for a, b in states)

    def _constant(self, value: ir.Value) -> _Fact:
        """The fact of an initializer or of a Constant's output."""
        if id(value) not in self._constants:
            tensor = ir.convenience.get_const_tensor(value)
            if tensor is None:
                fact = _Fact(_element_type(value), _fixed(value.shape, {}))
            else:
                shape = tuple(int(size) for size in tensor.shape.numpy())
                is_small = prod(shape) <= MAX_COMPUTED_ELEMENTS and tensor.dtype is not ir.DataType.STRING
                fact = _Fact(int(tensor.dtype), shape, tensor.numpy() if is_small else None)
            self._constants[id(value)] = fact
        return self._constants[id(value)]

    def _fallback(self, value: ir.Value, sizes: Mapping[str, int]) -> _Fact:
        shape = self.symbolic.get(id(value))
        numbers = [size.at(sizes) for size in shape] if shape is not None else None
        return _Fact(_element_type(value), tuple(round(n) for n in numbers) if numbers is not None else None)

    def _branch(
        self, node: ir.Node, facts: dict[int, _Fact], branches: dict[int, bool], sizes: Mapping[str, int]
    ) -> _Known:
        """The outputs of the branch that runs; of both where they agree and the condition is not known."""
        condition = facts.get(id(node.inputs[0]))
        results: list[_Known] = []
        names = ["then_branch", "else_branch"]
        if condition is not None and condition.numbers is not None and condition.numbers.size == 1:
            branches[id(node)] = bool(condition.numbers.reshape(-1)[0])
            names = names[:1] if branches[id(node)] else names[1:]
        for name in names:
            if name not in node.attributes or node.attributes[name].is_ref():
                return ()
            branch = node.attributes[name].as_graph()
            self._walk(branch, facts, branches, sizes)
            results.append(tuple(facts.get(id(value)) for value in branch.outputs))
        if len(results) == 1:
            return results[0]
        return tuple(
            _Fact(a.element_type, a.shape) if a is not None and b is not None and a.shape == b.shape else None
            for a, b in zip(*results, strict=False)
        )

    def _inferred(self, node: ir.Node, facts: Mapping[int, _Fact]) -> _Known:
        """The outputs of an operator from what is known of its inputs."""
        if node.domain not in _STANDARD:
            return ()
        inputs = tuple(None if value is None or not value.name else facts.get(id(value)) for value in node.inputs)
        if any(
            fact is None for fact, value in zip(inputs, node.inputs, strict=True) if value is not None and value.name
        ):
            return ()
        version = self.model.opset_imports.get("", 1)
        attributes = self._attributes.get(id(node))
        if attributes is None:
            proto = ir.serde.serialize_node(node)
            attributes = b"".join(a.SerializeToString(deterministic=True) for a in proto.attribute)
            self._attributes[id(node)] = attributes
        named = tuple(bool(output.name) for output in node.outputs)
        key = (node.op_type, attributes, named, tuple(None if fact is None else fact.key for fact in inputs))
        if key not in self._memory:
            self._memory[key] = _operator_outputs(node, inputs, version)
        return self._memory[key]


def _operator_outputs(node: ir.Node, inputs: _Known, version: int) -> _Known:
    """Element types and shapes by onnx's own inference of this operator, and numbers where they are few."""
    if node.op_type in ("Shape", "Size"):
        return _sizes_of(node, inputs[0] if inputs else None)
    proto = ir.serde.serialize_node(node)
    names = [f"i{index}" if fact is not None else "" for index, fact in enumerate(inputs)]
    outputs = [f"o{index}" if output.name else "" for index, output in enumerate(node.outputs)]
    proto.ClearField("input"), proto.ClearField("output")
    proto.input.extend(names)
    proto.output.extend(outputs)
    given = {name: fact for name, fact in zip(names, inputs, strict=True) if fact is not None}
    types = {name: onnx.helper.make_tensor_type_proto(f.element_type, f.shape) for name, f in given.items()}
    opsets = [onnx.helper.make_opsetid("", version)]
    try:
        numbers = {n: onnx.numpy_helper.from_array(f.numbers) for n, f in given.items() if f.numbers is not None}
        schema = onnx.defs.get_schema(node.op_type, version, "")
        inferred = onnx.shape_inference.infer_node_outputs(schema, proto, types, numbers, opset_imports=opsets)
    except (*_ONNX_ERRORS, *HANDLER_ERRORS):
        return ()
    facts = [_fact(inferred.get(name)) for name in outputs]
    is_small = all(
        fact is not None and fact.shape is not None and prod(fact.shape) <= MAX_COMPUTED_ELEMENTS for fact in facts
    )
    if not is_small or node.op_type not in _COMPUTED or any(fact.numbers is None for fact in given.values()):
        return tuple(facts)
    return _computed(proto, given, opsets) or tuple(facts)


def _sizes_of(node: ir.Node, source: _Fact | None) -> _Known:
    """The result of Shape (of a range of dimensions from opset 15) or Size."""
    if source is None or source.shape is None:
        return ()
    int64 = int(ir.DataType.INT64)
    if node.op_type == "Size":
        return (_Fact(int64, (), np.array(prod(source.shape), dtype=np.int64)),)
    start, end = node.attributes.get("start"), node.attributes.get("end")
    cut = slice(start.as_int() if start is not None else 0, end.as_int() if end is not None else None)
    numbers = np.array(source.shape[cut], dtype=np.int64)
    return (_Fact(int64, numbers.shape, numbers),)


def _computed(proto: onnx.NodeProto, given: Mapping[str, _Fact], opsets: list[onnx.OperatorSetIdProto]) -> _Known:
    """The operator's results by onnx's reference implementation; empty when that has none."""
    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in given]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in proto.output if name]
    if len(outputs) != len(proto.output):
        return ()
    graph = onnx.helper.make_graph([proto], "computed", inputs, outputs)
    try:
        results = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=opsets)).run(
            None, {name: fact.numbers for name, fact in given.items()}
        )
    except HANDLER_ERRORS:
        return ()
    arrays = [np.asarray(result) for result in results]
    if any(array.dtype == object or array.size > MAX_COMPUTED_ELEMENTS for array in arrays):
        return ()
    return tuple(_Fact(onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array) for array in arrays)


def _fact(inferred: onnx.TypeProto | None) -> _Fact | None:
    if inferred is None or not inferred.HasField("tensor_type"):
        return None
    tensor = inferred.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim if dim.HasField("dim_value")]
    is_known = tensor.HasField("shape") and len(dims) == len(tensor.shape.dim)
    is_believable = is_known and all(0 <= size < MAX_BELIEVABLE_SIZE for size in dims)
    return _Fact(tensor.elem_type, tuple(dims) if is_believable else None)


def _bodies(node: ir.Node) -> list[ir.Graph]:
    attributes = [a for a in node.attributes.values() if not a.is_ref() and a.type is ir.AttributeType.GRAPH]
    return [attribute.as_graph() for attribute in attributes]


def _element_type(value: ir.Value) -> int:
    return int(value.dtype) if value.dtype is not None else int(ir.DataType.FLOAT)


def _fixed(shape: ir.Shape | None, sizes: Mapping[str, int]) -> FixedShape:
    if shape is None:
        return None
    found = [size if isinstance(size, int) else sizes.get(str(size.value)) for size in shape]
    known = tuple(size for size in found if size is not None)
    return known if len(known) == len(found) else None
