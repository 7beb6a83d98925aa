"""Closed-form functions of a model's dynamic axes: what FLOPs and bytes are given as.

An expression is a sum of monomials over symbols. A symbol is an axis of the model, or one of three functions of other
expressions: `FloorDivision` (strided convolutions over dynamic sizes), `Maximum` (liveness peaks, broadcasts) and
`Minimum` (slices). Expressions made by `axis`, `constant`, `+` and `*` are canonical: terms are merged and sorted, so
equal polynomials are equal values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # numpy is imported where arrays are asked for, so that commands which ask for none start without it
    import numpy as np
    import numpy.typing as npt

    FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FloorDivision:
    """`floor(numerator / divisor)` as a symbol of a monomial; `divisor` is at least 2 in canonical expressions."""

    numerator: "AxisExpression"
    divisor: int

    def at(self, axes: Mapping[str, float]) -> float:
        """The value for these axes."""
        return float(self.numerator.at(axes) // self.divisor)

    def over(self, axes: "Mapping[str, FloatArray]") -> "FloatArray":
        """The values for arrays of axes."""
        return self.numerator.over(axes) // self.divisor


@dataclass(frozen=True, kw_only=True)
class Maximum:
    """The largest of `options` as a symbol of a monomial."""

    options: tuple["AxisExpression", ...]

    def at(self, axes: Mapping[str, float]) -> float:
        """The value for these axes."""
        return max(option.at(axes) for option in self.options)

    def over(self, axes: "Mapping[str, FloatArray]") -> "FloatArray":
        """The values for arrays of axes."""
        import numpy as np

        return _extreme(np.maximum, self.options, axes)


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """The smallest of `options` as a symbol of a monomial."""

    options: tuple["AxisExpression", ...]

    def at(self, axes: Mapping[str, float]) -> float:
        """The value for these axes."""
        return min(option.at(axes) for option in self.options)

    def over(self, axes: "Mapping[str, FloatArray]") -> "FloatArray":
        """The values for arrays of axes."""
        import numpy as np

        return _extreme(np.minimum, self.options, axes)


Factor: TypeAlias = str | FloorDivision | Maximum | Minimum


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
    >>> batch_times_s2 == AxisExpression.axis("s") * AxisExpression.axis("batch") * AxisExpression.axis("s") * 3.0
    True
    """

    terms: tuple[Monomial, ...]

    @staticmethod
    def constant(value: float) -> "AxisExpression":
        """An expression that does not depend on any axis."""
        return AxisExpression(terms=(Monomial(coefficient=float(value), factors=()),) if value else ())

    @staticmethod
    def axis(name: str) -> "AxisExpression":
        """The size of one axis."""
        return AxisExpression(terms=(Monomial(coefficient=1.0, factors=(name,)),))

    @staticmethod
    def of(factor: Factor) -> "AxisExpression":
        """An expression of one symbol."""
        return AxisExpression(terms=(Monomial(coefficient=1.0, factors=(factor,)),))

    def __str__(self) -> str:
        """The formula as people write it: `3*batch*s*s + 1`."""
        return " + ".join(_term_text(term) for term in self.terms) or "0"

    @property
    def value(self) -> float | None:
        """The number, when the expression depends on no axis."""
        if not self.terms:
            return 0.0
        if len(self.terms) == 1 and not self.terms[0].factors:
            return self.terms[0].coefficient
        return None

    @property
    def axes(self) -> frozenset[str]:
        """The names of the axes that the value may depend on."""
        return frozenset().union(*(_factor_axes(factor) for term in self.terms for factor in term.factors))

    def __add__(self, other: "AxisExpression") -> "AxisExpression":
        """The sum, terms merged."""
        if not other.terms:
            return self
        if not self.terms:
            return other
        merged = {term.factors: term.coefficient for term in self.terms}
        for term in other.terms:
            merged[term.factors] = merged.get(term.factors, 0.0) + term.coefficient
        return _from_coefficients(merged)

    def __mul__(self, other: "AxisExpression | float") -> "AxisExpression":
        """The product, multiplied out."""
        if not isinstance(other, AxisExpression):
            other = AxisExpression.constant(other)
        merged: dict[tuple[Factor, ...], float] = {}
        for a in self.terms:
            for b in other.terms:
                factors = a.factors + b.factors
                if a.factors and b.factors:
                    factors = tuple(sorted(factors, key=_factor_key))
                merged[factors] = merged.get(factors, 0.0) + a.coefficient * b.coefficient
        return _from_coefficients(merged)

    def at(self, axes: Mapping[str, float]) -> float:
        """The value for these axes. Raises KeyError when an axis is missing."""
        total = 0.0
        for term in self.terms:
            product = term.coefficient
            for factor in term.factors:
                product *= axes[factor] if isinstance(factor, str) else factor.at(axes)
            total += product
        return total

    def over(self, axes: "Mapping[str, FloatArray]") -> "FloatArray":
        """The values for arrays of axes, all of one shape (float64[n]). Raises KeyError when an axis is missing.

        >>> import numpy as np
        >>> AxisExpression.axis("batch").over({"batch": np.arange(1.0, 4.0)})
        array([1., 2., 3.])
        """
        import numpy as np

        shape = next(iter(axes.values())).shape if axes else (1,)
        total = np.zeros(shape)
        for term in self.terms:
            product = np.full(shape, term.coefficient)
            for factor in term.factors:
                product *= axes[factor] if isinstance(factor, str) else factor.over(axes)
            total += product
        return total

    def replace(self, renamed: Mapping[str, "AxisExpression"]) -> "AxisExpression":
        """The expression with axes replaced by expressions; axes that `renamed` does not hold stay."""
        total = ZERO
        for term in self.terms:
            product = AxisExpression.constant(term.coefficient)
            for factor in term.factors:
                product = product * _replaced(factor, renamed)
            total = total + product
        return total


ZERO = AxisExpression(terms=())
ONE = AxisExpression.constant(1.0)


def floor_division(numerator: AxisExpression, divisor: int) -> AxisExpression:
    """`floor(numerator / divisor)`; whole multiples are taken out, so that it stays a polynomial where it is one.

    >>> floor_division(AxisExpression.axis("w") * 4.0, 2) == AxisExpression.axis("w") * 2.0
    True
    """
    if divisor < 0:
        numerator, divisor = numerator * -1.0, -divisor
    whole, rest = [], []
    for term in numerator.terms:
        quotient, remainder = divmod(term.coefficient, divisor)
        if quotient:
            whole.append(Monomial(coefficient=quotient, factors=term.factors))
        if remainder:
            rest.append(Monomial(coefficient=remainder, factors=term.factors))
    outside, inside = AxisExpression(terms=tuple(whole)), AxisExpression(terms=tuple(rest))
    value = inside.value
    if value is not None:
        return outside + AxisExpression.constant(value // divisor)
    inside, divisor = _without_inner_floor(inside, divisor)
    return outside + AxisExpression.of(FloorDivision(numerator=inside, divisor=divisor))


def maximum(*options: AxisExpression) -> AxisExpression:
    """The largest option; a plain expression where that is clear without knowing the axes.

    Axes are sizes, at least 0: an option whose every coefficient is dominated by another's is dropped.
    """
    kept = _undominated(options)
    return kept[0] if len(kept) == 1 else AxisExpression.of(Maximum(options=kept))


def minimum(*options: AxisExpression) -> AxisExpression:
    """The smallest option; a plain expression where all are equal or all are numbers."""
    distinct = tuple(dict.fromkeys(options))
    numbers = [option.value for option in distinct if option.value is not None]
    if len(numbers) > 1:
        distinct = (AxisExpression.constant(min(numbers)), *(o for o in distinct if o.value is None))
    if len(distinct) == 1:
        return distinct[0]
    return AxisExpression.of(Minimum(options=tuple(sorted(distinct, key=_expression_key))))


def product(factors: Sequence[AxisExpression]) -> AxisExpression:
    """The product of all factors; 1 for none."""
    total = ONE
    for factor in factors:
        total = total * factor
    return total


def _without_inner_floor(numerator: AxisExpression, divisor: int) -> tuple[AxisExpression, int]:
    """`floor((floor(n/d) + c) / m)` is `floor((n + c*d) / (d*m))` for a whole c: strides of strides are one."""
    floors = [t for t in numerator.terms if t.factors]
    if len(floors) != 1 or floors[0].coefficient != 1.0 or len(floors[0].factors) != 1:
        return numerator, divisor
    inner = floors[0].factors[0]
    constant = sum(t.coefficient for t in numerator.terms if not t.factors)
    if not isinstance(inner, FloorDivision) or constant != int(constant):
        return numerator, divisor
    return inner.numerator + AxisExpression.constant(constant * inner.divisor), inner.divisor * divisor


def _undominated(options: tuple[AxisExpression, ...]) -> tuple[AxisExpression, ...]:
    distinct = sorted(set(options), key=_expression_key)
    kept = [o for o in distinct if not any(p is not o and _dominates(p, o) for p in distinct)]
    return tuple(kept)


def _dominates(a: AxisExpression, b: AxisExpression) -> bool:
    """Whether a >= b for all axes, seen from the coefficients alone (False when unsure)."""
    coefficients = {term.factors: term.coefficient for term in a.terms}
    for term in b.terms:
        coefficients[term.factors] = coefficients.get(term.factors, 0.0) - term.coefficient
    return all(c >= 0 for factors, c in coefficients.items() if c) and all(
        isinstance(f, str) for factors, c in coefficients.items() if c for f in factors
    )


def _from_coefficients(merged: Mapping[tuple[Factor, ...], float]) -> AxisExpression:
    kept = [Monomial(coefficient=c, factors=f) for f, c in merged.items() if c]
    if len(kept) > 1:
        kept.sort(key=_term_key)
    return AxisExpression(terms=tuple(kept))


def _extreme(
    function: "Callable[[FloatArray, FloatArray], FloatArray]",
    options: tuple[AxisExpression, ...],
    axes: "Mapping[str, FloatArray]",
) -> "FloatArray":
    result = options[0].over(axes)
    for option in options[1:]:
        result = function(result, option.over(axes))
    return result


def _replaced(factor: Factor, renamed: Mapping[str, AxisExpression]) -> AxisExpression:
    match factor:
        case str():
            return renamed[factor] if factor in renamed else AxisExpression.axis(factor)
        case FloorDivision():
            return floor_division(factor.numerator.replace(renamed), factor.divisor)
        case Maximum():
            return maximum(*(option.replace(renamed) for option in factor.options))
        case Minimum():
            return minimum(*(option.replace(renamed) for option in factor.options))


def _factor_axes(factor: Factor) -> frozenset[str]:
    match factor:
        case str():
            return frozenset((factor,))
        case FloorDivision():
            return factor.numerator.axes
        case Maximum() | Minimum():
            return frozenset().union(*(option.axes for option in factor.options))


def _term_text(term: Monomial) -> str:
    factors = [_factor_text(factor) for factor in term.factors]
    if term.coefficient == 1.0 and factors:
        return "*".join(factors)
    return "*".join([f"{term.coefficient:.15g}", *factors])


def _factor_text(factor: Factor) -> str:
    match factor:
        case str():
            return factor
        case FloorDivision():
            return f"floor(({factor.numerator})/{factor.divisor})"
        case Maximum():
            return f"max({', '.join(map(str, factor.options))})"
        case Minimum():
            return f"min({', '.join(map(str, factor.options))})"


def _factor_key(factor: Factor) -> tuple[int, str]:
    return (0, factor) if isinstance(factor, str) else (1, repr(factor))


def _term_key(term: Monomial) -> tuple[int, tuple[tuple[int, str], ...]]:
    return (-len(term.factors), tuple(_factor_key(factor) for factor in term.factors))


def _expression_key(expression: AxisExpression) -> str:
    return repr(expression)
