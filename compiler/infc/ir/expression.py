"""Closed-form functions of a model's dynamic axes: what FLOPs and bytes are given as.

An expression is a sum of monomials over symbols. A symbol is an axis of the model, or `floor((p) / d)` of another
expression, which is how strided convolutions over dynamic sizes come out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class FloorDivision:
    """`floor(numerator / divisor)` as a symbol of a monomial."""

    numerator: "AxisExpression"
    divisor: int

    def at(self, axes: Mapping[str, float]) -> float:
        """The value for these axes."""
        return float(self.numerator.at(axes) // self.divisor)


Factor: TypeAlias = str | FloorDivision


@dataclass(frozen=True, kw_only=True)
class Monomial:
    """`coefficient` times the product of `factors` (a factor that occurs twice is squared)."""

    coefficient: float
    factors: tuple[Factor, ...]


@dataclass(frozen=True, kw_only=True)
class AxisExpression:
    """A sum of monomials; the empty sum is zero.

    >>> batch_times_s2 = AxisExpression(terms=(Monomial(coefficient=3.0, factors=("batch", "s", "s")),))
    >>> batch_times_s2.at({"batch": 2, "s": 10})
    600.0
    """

    terms: tuple[Monomial, ...]

    @staticmethod
    def constant(value: float) -> "AxisExpression":
        """An expression that does not depend on any axis."""
        return AxisExpression(terms=(Monomial(coefficient=value, factors=()),) if value else ())

    def at(self, axes: Mapping[str, float]) -> float:
        """The value for these axes. Raises KeyError when an axis is missing."""
        total = 0.0
        for term in self.terms:
            product = term.coefficient
            for factor in term.factors:
                product *= axes[factor] if isinstance(factor, str) else factor.at(axes)
            total += product
        return total
