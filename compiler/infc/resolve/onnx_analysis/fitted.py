"""Shapes that symbolic inference could not find: inferred at fixed sizes, and fitted to functions of the axes.

A dimension is a constant, `a + b*axis`, a multiple of a product of axes, or a multilinear function, in this order; a
function is taken only if it is exact at every probed size. Probed sizes are multiples of a stride that convolutional
networks divide by, so a rounded division comes out as the plain one.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
import onnx_shape_inference as symbolic

from infc.ir.expression import ZERO, AxisExpression, product
from infc.resolve.onnx_analysis.graph import Shape
from infc.resolve.onnx_analysis.shapes import HANDLER_ERRORS, MAX_BELIEVABLE_SIZE, InferredModel, clear_shapes

Sizes: TypeAlias = Mapping[str, int]
FixedShape: TypeAlias = tuple[int, ...] | None

_BATCH_SIZES = (2, 3, 5)
_STRIDES = (64, 224, 16)
"""Sizes of the other axes are 1, 2 and 3 times one of these; the first with which inference finds most is used."""
_TOLERANCE = 1e-6
_MAX_DENOMINATOR = 2**20


def fit_shapes(inferred: InferredModel) -> InferredModel:
    """The same model with the shapes that inference at fixed sizes finds and that follow one law over all sizes."""
    clear_shapes(inferred.model.graph)  # onnx 1.23 asks for as much memory as a wrong size in the file says
    proto = ir.serde.serialize_model(inferred.model)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    outputs = [value for node in inferred.model.graph.all_nodes() for value in node.outputs]
    wanted = [index for index, value in enumerate(outputs) if value.name and id(value) not in inferred.shapes]
    best: dict[int, Shape] = {}
    for stride in _STRIDES if inferred.axes else _STRIDES[:1]:
        points = tuple(_points(inferred, stride))
        first = _fixed_shapes(proto, points[0])
        if len(first) != len(outputs) or not any(first[index] for index in wanted):
            continue
        found = [first, *(_fixed_shapes(proto, point) for point in points[1:])]
        if any(len(shapes) != len(outputs) for shapes in found):
            continue
        fitted = {index: _fitted_shape([shapes[index] for shapes in found], points) for index in wanted}
        known = {index: shape for index, shape in fitted.items() if shape is not None}
        best = known if len(known) > len(best) else best
        if len(best) == len(wanted):
            break
    return replace(inferred, shapes={**inferred.shapes, **{id(outputs[i]): shape for i, shape in best.items()}})


def _points(inferred: InferredModel, stride: int) -> Iterator[Sizes]:
    """Enough sizes to tell a multilinear function: each axis alone at three sizes, and mixtures."""
    leading = {str(v.shape[0]) for v in inferred.model.graph.inputs if v.shape is not None and len(v.shape) > 0}
    sizes = {axis: _BATCH_SIZES if axis in leading else (stride, 2 * stride, 3 * stride) for axis in inferred.axes}
    base = {axis: options[0] for axis, options in sizes.items()}
    yield base
    for axis, options in sizes.items():
        yield from ({**base, axis: size} for size in options[1:])
    for first, second in combinations(sizes, 2):
        yield {**base, first: sizes[first][1], second: sizes[second][2]}
    if len(sizes) > 1:
        yield {axis: options[2] for axis, options in sizes.items()}


def _fixed_shapes(proto: onnx.ModelProto, sizes: Sizes) -> list[FixedShape]:
    """The shape of every operator's output with the axes at these sizes, by onnx or onnx-shape-inference."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    for value in fixed.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    with contextlib.suppress(onnx.shape_inference.InferenceError, *HANDLER_ERRORS):
        fixed = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
    model = ir.serde.deserialize_model(fixed)
    shapes = _numbers_of(model)
    if None not in shapes:
        return shapes
    with contextlib.suppress(*HANDLER_ERRORS):
        symbolic.infer_symbolic_shapes(model, warn_on_missing=False)
    return [first or second for first, second in zip(shapes, _numbers_of(model), strict=True)]


def _numbers_of(model: ir.Model) -> list[FixedShape]:
    shapes: list[FixedShape] = []
    for node in model.graph.all_nodes():
        for value in node.outputs:
            sizes = tuple(size for size in value.shape or () if isinstance(size, int) and size < MAX_BELIEVABLE_SIZE)
            shapes.append(sizes if value.shape is not None and len(sizes) == len(value.shape) else None)
    return shapes


def _fitted_shape(shapes: Sequence[FixedShape], points: Sequence[Sizes]) -> Shape | None:
    """One law for each dimension, exact at every point; None when a point or a law is missing."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes) or len({len(shape) for shape in known}) != 1:
        return None
    laws = [fitted_law(sizes, points) for sizes in zip(*known, strict=True)]
    fitted = tuple(law for law in laws if law is not None)
    return fitted if len(fitted) == len(laws) else None


@dataclass(frozen=True)
class _Basis:
    """Products of axes whose weighted sum is tried; the empty product is the constant."""

    products: tuple[tuple[str, ...], ...]


def fitted_law(values: Sequence[int], points: Sequence[Sizes]) -> AxisExpression | None:
    """The simplest function of the axes that equals `values[i]` at `points[i]`, for all i.

    >>> str(fitted_law((64, 128, 192), ({"batch": 2}, {"batch": 4}, {"batch": 6})))
    '32*batch'
    """
    for basis in _bases(tuple(points[0])):
        if len(basis.products) > len(points) and len(basis.products) > 1:
            continue
        matrix = np.array([[float(np.prod([p[axis] for axis in group])) for group in basis.products] for p in points])
        weights, *_ = np.linalg.lstsq(matrix, np.array(values, dtype=float), rcond=None)
        rounded = np.array([float(Fraction(weight).limit_denominator(_MAX_DENOMINATOR)) for weight in weights])
        if np.allclose(matrix @ rounded, values, rtol=0, atol=_TOLERANCE):
            return _law(rounded, basis)
    return None


def _bases(axes: tuple[str, ...]) -> Iterator[_Basis]:
    yield _Basis(products=((),))
    for count in range(1, len(axes) + 1):
        yield from (_Basis(products=(group,)) for group in combinations(axes, count))
    for count in range(1, len(axes) + 1):
        yield from (_Basis(products=((), group)) for group in combinations(axes, count))
    yield from (_Basis(products=((), (axis,), (axis, axis))) for axis in axes)
    subsets = [group for count in range(len(axes) + 1) for group in combinations(axes, count)]
    yield _Basis(products=tuple(subsets))


def _law(weights: "np.typing.NDArray[np.float64]", basis: _Basis) -> AxisExpression:
    total = ZERO
    for weight, group in zip(weights, basis.products, strict=True):
        total = total + product([AxisExpression.axis(axis) for axis in group]) * float(weight)
    return total
