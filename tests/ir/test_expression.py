"""Expressions of axes are an exact algebra over sizes."""

from math import floor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.expression import ONE, ZERO, AxisExpression, floor_division, maximum, minimum, product

SIZES = {"b": 3.0, "s": 7.0, "w": 11.0}


def leaves() -> st.SearchStrategy[AxisExpression]:
    """Axes and whole numbers."""
    return st.sampled_from(sorted(SIZES)).map(AxisExpression.axis) | st.integers(-9, 9).map(AxisExpression.constant)


def _grown(inner: st.SearchStrategy[AxisExpression]) -> st.SearchStrategy[AxisExpression]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] * p[1]),
        st.tuples(inner, st.integers(1, 9)).map(lambda p: floor_division(*p)),
        pairs.map(lambda p: maximum(*p)),
        pairs.map(lambda p: minimum(*p)),
    )


expressions = st.recursive(leaves(), _grown, max_leaves=6)


@settings(max_examples=40, deadline=None)
@given(expressions, expressions)
def test_sum_and_product_have_the_values_of_their_parts(a: AxisExpression, b: AxisExpression) -> None:
    """`(a + b)` and `(a * b)` evaluate to the sum and product of the values."""
    assert (a + b).at(SIZES) == a.at(SIZES) + b.at(SIZES)
    assert (a * b).at(SIZES) == a.at(SIZES) * b.at(SIZES)


@settings(max_examples=40, deadline=None)
@given(expressions, st.integers(1, 12))
def test_floor_division_is_that_of_the_value(a: AxisExpression, divisor: int) -> None:
    """Taking out whole multiples and merging nested floors keeps the value."""
    assert floor_division(a, divisor).at(SIZES) == floor(a.at(SIZES) / divisor)


@settings(max_examples=40, deadline=None)
@given(st.lists(expressions, min_size=1, max_size=4))
def test_extremes_are_those_of_the_values(options: list[AxisExpression]) -> None:
    """Dropping dominated options keeps the value."""
    assert maximum(*options).at(SIZES) == max(option.at(SIZES) for option in options)
    assert minimum(*options).at(SIZES) == min(option.at(SIZES) for option in options)


@settings(max_examples=40, deadline=None)
@given(expressions, expressions, expressions)
def test_equal_polynomials_are_equal_values(a: AxisExpression, b: AxisExpression, c: AxisExpression) -> None:
    """Order of terms and factors does not matter."""
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert a + ZERO == a
    assert a * ONE == a
    assert a * ZERO == ZERO


@settings(max_examples=40, deadline=None)
@given(expressions)
def test_arrays_of_sizes_give_the_same_numbers(a: AxisExpression) -> None:
    """`over` is `at` for every element."""
    batches = np.arange(1.0, 6.0)
    arrays = {"b": batches, "s": np.full(5, 7.0), "w": np.full(5, 11.0)}
    assert a.over(arrays).tolist() == [a.at({**SIZES, "b": batch}) for batch in batches]


@settings(max_examples=40, deadline=None)
@given(expressions, expressions)
def test_replacing_an_axis_is_evaluating_with_its_value(a: AxisExpression, b: AxisExpression) -> None:
    """Substitution and evaluation commute."""
    assert a.replace({"s": b}).at(SIZES) == a.at({**SIZES, "s": b.at(SIZES)})


def test_expressions_print_as_formulas() -> None:
    """People read them in plans and shapes."""
    width = AxisExpression.axis("w")
    assert str(floor_division(width + AxisExpression.constant(3), 8)) == "floor((w + 3)/8)"
    assert str(product([width, width, AxisExpression.axis("b")]) * 2.5) == "2.5*b*w*w"
    assert str(ZERO) == "0"
    assert str(maximum(width, AxisExpression.axis("b"))) == "max(b, w)"


def test_strides_of_strides_become_one_division() -> None:
    """`floor((floor((w + 1)/2) + 1)/2)` is `floor((w + 3)/4)`."""
    once = floor_division(AxisExpression.axis("w") + ONE, 2)
    assert str(floor_division(once + ONE, 2)) == "floor((w + 3)/4)"
