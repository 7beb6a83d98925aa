"""Shapes of every tensor as functions of the axes, by symbolic inference."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import onnx_shape_inference as symbolic
from onnx_ir.passes.common import InlinePass

from infc.ir.expression import AxisExpression
from infc.resolve.model_file import ModelFile
from infc.resolve.onnx_analysis.graph import Shape
from infc.resolve.onnx_analysis.sympy_dims import UnsupportedSizeError, expression_from_sympy

MAX_BELIEVABLE_SIZE = 1e8
"""No real dimension reaches this; symbolic inference returns 1e9 for slices whose end is "as far as it goes"."""

_AXIS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_MADE_UP_NAME = re.compile(r"s\d+\Z")
"""What torch.export calls a dimension that nobody named (2.13)."""
# What the libraries' per-operator handlers raise on graphs that they did not expect (onnx-shape-inference 0.4.0).
HANDLER_ERRORS = (
    symbolic.ShapeInferenceError, symbolic.OpUsageError, ir.serde.SerdeError, ValueError, TypeError, ArithmeticError,
    LookupError, AttributeError, RecursionError, NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InferredModel:
    """A model with the shape of every value, by `id(value)`; a value without an entry is unknown."""

    model: ir.Model
    shapes: Mapping[int, Shape]
    axes: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the shape of every operator's output is known."""
        nodes = self.model.graph.all_nodes()
        return all(id(value) in self.shapes for node in nodes for value in node.outputs if value.name)


def load_ir(file: ModelFile) -> ir.Model:
    """The model with functions inlined and its input axes named; weights stay on disk.

    Raises:
        google.protobuf.message.DecodeError, ValueError and others of `HANDLER_ERRORS`: the protobuf is no valid model.
    """
    proto = onnx.ModelProto.FromString(file.outline.skeleton)
    model = ir.serde.deserialize_model(proto)
    if file.external_files:
        ir.external_data.set_base_dir(model.graph, file.path.parent)
    if model.functions:
        model = InlinePass()(model).model
    _name_input_axes(model.graph)
    return model


def inputs_of(graph: ir.Graph) -> tuple[ir.Value, ...]:
    """The inputs that a caller feeds: ONNX files of IR version 3 list their initializers as inputs too."""
    return tuple(value for value in graph.inputs if value.name not in graph.initializers)


def infer_symbolically(model: ir.Model) -> InferredModel:
    """Shapes from onnx-shape-inference with symbolic axes; values that it cannot know have no entry."""
    clear_shapes(model.graph)
    axes = _axes_of(model.graph)
    with contextlib.suppress(*HANDLER_ERRORS):  # values before a failing operator are known, the rest is fitted
        symbolic.infer_symbolic_shapes(model, warn_on_missing=False)
    return _stated_shapes(model, axes)


def given_shapes(model: ir.Model) -> InferredModel:
    """The shapes that need no inference: those of inputs and weights."""
    clear_shapes(model.graph)
    return _stated_shapes(model, _axes_of(model.graph))


def _stated_shapes(model: ir.Model, axes: tuple[str, ...]) -> InferredModel:
    shapes: dict[int, Shape] = {}
    known: dict[str, AxisExpression | None] = {}
    for value in values_of(model.graph):
        shape = _expressions(value.shape, frozenset(axes), known)
        if shape is not None:
            shapes[id(value)] = shape
    return InferredModel(model=model, shapes=shapes, axes=axes)


def values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """Every value of a graph and its subgraphs: inputs, weights and the outputs of operators, in a fixed order."""
    for part in (graph, *graph.subgraphs()):
        yield from part.inputs
        yield from part.initializers.values()
    for node in graph.all_nodes():
        yield from node.outputs


def clear_shapes(graph: ir.Graph) -> None:
    """Forget the shapes that the file states for what operators compute: exporters write wrong and stale ones."""
    for node in graph.all_nodes():
        for output in node.outputs:
            output.shape = None


def _name_input_axes(graph: ir.Graph) -> None:
    """Give every dynamic input dimension a usable name; unnamed and malformed ones (`?`) are different axes.

    Leading dimensions are the exception: where every dynamic leading dimension is unnamed, or all have names that an
    exporter made up (`s72` and `s43`, one for each input), they are one axis, `batch`.
    """
    inputs = [value for value in inputs_of(graph) if value.shape is not None]
    leading = [value.shape[0] for value in inputs if value.shape is not None and len(value.shape) > 0]
    names = {size.value for size in leading if not isinstance(size, int) and _is_axis_name(size.value)}
    is_batch_unnamed = not names or (len(names) > 1 and all(_MADE_UP_NAME.match(name or "") for name in names))
    for value in inputs:
        dims: list[int | ir.SymbolicDim] = []
        for index, size in enumerate(value.shape or ()):
            if isinstance(size, int) and size > 0:
                dims.append(size)
            elif index == 0 and is_batch_unnamed:
                dims.append(ir.SymbolicDim("batch"))
            elif not isinstance(size, int) and _is_axis_name(size.value):
                dims.append(ir.SymbolicDim(str(size.value)))
            else:
                stem = re.sub(r"[^A-Za-z0-9_]", "_", value.name or "input")
                dims.append(ir.SymbolicDim(f"{stem if stem[0].isalpha() else 'axis_' + stem}_dim{index}"))
        value.shape = ir.Shape(dims)


def _is_axis_name(name: str | None) -> bool:
    return name is not None and _AXIS_NAME.match(name) is not None


def _axes_of(graph: ir.Graph) -> tuple[str, ...]:
    names = (size.value for value in inputs_of(graph) for size in value.shape or () if not isinstance(size, int))
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _expressions(
    shape: Iterable[int | ir.SymbolicDim] | None, axes: frozenset[str], known: dict[str, AxisExpression | None]
) -> Shape | None:
    if shape is None:
        return None
    sizes = []
    for size in shape:
        expression = AxisExpression.constant(size) if isinstance(size, int) else _symbolic_size(size, axes, known)
        if expression is None or (expression.value or 0) > MAX_BELIEVABLE_SIZE:
            return None
        sizes.append(expression)
    return tuple(sizes)


def _symbolic_size(
    size: ir.SymbolicDim, axes: frozenset[str], known: dict[str, AxisExpression | None]
) -> AxisExpression | None:
    """The size, or None when it is unnamed, depends on data, or is no function that an expression can hold."""
    if size.value is None:
        return None
    if size.value not in known:
        try:
            expression = expression_from_sympy(size._expr)
            known[size.value] = expression if expression.axes <= axes else None
        except (UnsupportedSizeError, *HANDLER_ERRORS):
            known[size.value] = None
    return known[size.value]
