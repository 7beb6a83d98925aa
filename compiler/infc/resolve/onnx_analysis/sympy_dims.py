"""Sizes as the shape inference writes them (sympy) -> `AxisExpression`."""

import sympy

from infc.ir.expression import ONE, ZERO, AxisExpression, floor_division, maximum, minimum

MAX_POWER = 8


class UnsupportedSizeError(ValueError):
    """The size is no polynomial of axes, floors, maxima and minima."""


def expression_from_sympy(size: sympy.Expr) -> AxisExpression:
    """The same function of the axes.

    Raises:
        UnsupportedSizeError: for anything but polynomials with floor, ceiling, Max, Min and Mod by a number.

    >>> h = sympy.Symbol("h")
    >>> expression_from_sympy(sympy.floor(h / 2 - sympy.Rational(1, 2)) + 1).at({"h": 9})
    5.0
    """
    return _converted(sympy.expand(size))


def _converted(size: sympy.Expr) -> AxisExpression:
    if isinstance(size, sympy.Symbol):
        return AxisExpression.axis(size.name)
    if isinstance(size, sympy.Rational | sympy.Float):
        return AxisExpression.constant(float(size))
    if isinstance(size, sympy.Add):
        total = ZERO
        for term in size.args:
            total = total + _converted(term)
        return total
    if isinstance(size, sympy.Mul):
        return _product(size)
    if isinstance(size, sympy.Pow):
        return _power(size)
    if isinstance(size, sympy.floor | sympy.ceiling):
        return _floor(size.args[0]) if isinstance(size, sympy.floor) else _floor(-size.args[0]) * -1.0
    if isinstance(size, sympy.Max):
        return maximum(*(_converted(sympy.expand(option)) for option in size.args))
    if isinstance(size, sympy.Min):
        return minimum(*(_converted(sympy.expand(option)) for option in size.args))
    if isinstance(size, sympy.Mod):
        dividend, divisor = size.args
        return _converted(sympy.expand(dividend)) + _floor(dividend / divisor) * _converted(divisor) * -1.0
    raise UnsupportedSizeError(str(size))


def _product(size: sympy.Mul) -> AxisExpression:
    if any(isinstance(factor, sympy.Pow) and not factor.exp.is_nonnegative for factor in size.args):
        cancelled = sympy.expand(sympy.cancel(size))
        if isinstance(cancelled, sympy.Mul) and any(
            isinstance(factor, sympy.Pow) and not factor.exp.is_nonnegative for factor in cancelled.args
        ):
            raise UnsupportedSizeError(str(size))
        return _converted(cancelled)
    total = ONE
    for factor in size.args:
        total = total * _converted(factor)
    return total


def _power(size: sympy.Pow) -> AxisExpression:
    base, exponent = size.args
    if not isinstance(exponent, sympy.Integer) or not 0 <= int(exponent) <= MAX_POWER:
        raise UnsupportedSizeError(str(size))
    total, factor = ONE, _converted(base)
    for _ in range(int(exponent)):
        total = total * factor
    return total


def _floor(size: sympy.Expr) -> AxisExpression:
    numerator, denominator = sympy.fraction(sympy.together(size))
    if not isinstance(denominator, sympy.Integer):
        raise UnsupportedSizeError(f"floor({size})")
    return floor_division(_converted(sympy.expand(numerator)), int(denominator))
