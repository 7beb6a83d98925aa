"""Shapes that symbolic inference could not find: inferred at fixed sizes, and fitted to functions of the axes.

A dimension is a constant, `a + b*axis`, a multiple of a product of axes, or a multilinear function, in this order; a
function is taken only if it is exact at every probed size. Probed sizes are multiples of a stride that convolutional
networks divide by, so a rounded division comes out as the plain one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from infc.ir.expression import ZERO, AxisExpression, product
from infc.resolve.onnx_analysis.folding import take_branches
from infc.resolve.onnx_analysis.graph import Shape
from infc.resolve.onnx_analysis.interpretation import FixedShape, Interpretation, Interpreter
from infc.resolve.onnx_analysis.shapes import InferredModel, clear_shapes, given_shapes

Sizes: TypeAlias = Mapping[str, int]
Laws: TypeAlias = dict[tuple[int, ...], AxisExpression | None]
"""What one size is at each point -> its law."""

_BATCH_SIZES = (2, 3, 5)
_STRIDES = (64, 224, 16)
"""Sizes of the other axes are 1, 2 and 3 times one of these; the first with which inference finds most is used."""
_TOLERANCE = 1e-6
_MAX_DENOMINATOR = 2**20


def fit_shapes(inferred: InferredModel) -> InferredModel:
    """The same model with the shapes that inference at fixed sizes finds and that follow one law over all sizes.

    A shape that it came with stays unless it is wrong at some size and a law is found. Ifs whose condition is the same
    at all sizes are replaced by the branch that runs.
    """
    model = inferred.model
    clear_shapes(model.graph)  # onnx 1.23 asks for as much memory as a wrong size in the file says
    interpreter = Interpreter(model=model, symbolic=inferred.shapes)
    best: dict[int, Shape] = {}
    branches: dict[int, bool] = {}
    for stride in _STRIDES if len(inferred.axes) > 1 or not _is_batch_only(inferred) else _STRIDES[:1]:
        points = tuple(_points(inferred, stride))
        laws: Laws = {}
        found = [interpreter.at(point) for point in points]
        wanted = [
            value
            for value in _computed_values(model.graph)
            if _is_wrong(inferred.shapes.get(id(value)), id(value), found, points)
        ]
        fitted = {id(v): _fitted_shape([at.shapes.get(id(v)) for at in found], points, laws) for v in wanted}
        known = {key: shape for key, shape in fitted.items() if shape is not None}
        if len(known) > len(best) or not branches:
            best = known if len(known) > len(best) else best
            branches = _agreed([at.branches for at in found])
        if len(known) == len(wanted):
            break
    take_branches(model, branches)
    return replace(inferred, shapes={**inferred.shapes, **best})


def _computed_values(graph: ir.Graph) -> Iterator[ir.Value]:
    """What operators make, and the inputs of loop bodies."""
    for part in graph.subgraphs():
        yield from part.inputs
    for node in graph.all_nodes():
        yield from (value for value in node.outputs if value.name)


def fit_batch_only(model: ir.Model) -> InferredModel | None:
    """All shapes of a model whose only axis is the batch, without symbols; None when it has others or some are unknown.

    Sizes are then sums and multiples of the batch, which a few fixed sizes tell; symbolic inference is far slower.
    """
    inferred = given_shapes(model)
    if not _is_batch_only(inferred):
        return None
    fitted = fit_shapes(inferred)
    return fitted if fitted.is_complete else None


def _is_batch_only(inferred: InferredModel) -> bool:
    leading = _leading(inferred)
    return len(inferred.axes) <= 1 and all(axis in leading for axis in inferred.axes)


def _leading(inferred: InferredModel) -> frozenset[str]:
    shapes = [value.shape for value in inferred.model.graph.inputs if value.shape is not None]
    return frozenset(str(shape[0]) for shape in shapes if len(shape) > 0)


def _is_wrong(shape: Shape | None, key: int, found: Sequence[Interpretation], points: Sequence[Sizes]) -> bool:
    """Whether a shape is unknown, or another than interpretation gives at one of the points."""
    if shape is None:
        return True
    for at, point in zip(found, points, strict=True):
        fixed = at.shapes.get(key)
        if fixed is not None and fixed != tuple(round(size.at(point)) for size in shape):
            return True
    return False


def _agreed(choices: Sequence[Mapping[int, bool]]) -> dict[int, bool]:
    first = choices[0]
    return {key: way for key, way in first.items() if all(other.get(key) is way for other in choices)}


def _points(inferred: InferredModel, stride: int) -> Iterator[Sizes]:
    """Enough sizes to tell a multilinear function: each axis alone at three sizes, and mixtures."""
    leading = _leading(inferred)
    sizes = {axis: _BATCH_SIZES if axis in leading else (stride, 2 * stride, 3 * stride) for axis in inferred.axes}
    base = {axis: options[0] for axis, options in sizes.items()}
    yield base
    for axis, options in sizes.items():
        yield from ({**base, axis: size} for size in options[1:])
    for first, second in combinations(sizes, 2):
        yield {**base, first: sizes[first][1], second: sizes[second][2]}
    if len(sizes) > 1:
        yield {axis: options[2] for axis, options in sizes.items()}


def _fitted_shape(shapes: Sequence[FixedShape], points: Sequence[Sizes], laws: Laws) -> Shape | None:
    """One law for each dimension, exact at every point; None when a point or a law is missing. Adds to `laws`."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes) or len({len(shape) for shape in known}) != 1:
        return None
    dimensions = tuple(zip(*known, strict=True))
    for sizes in dimensions:
        if sizes not in laws:
            laws[sizes] = fitted_law(sizes, points)
    fitted = tuple(law for law in (laws[sizes] for sizes in dimensions) if law is not None)
    return fitted if len(fitted) == len(dimensions) else None


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
