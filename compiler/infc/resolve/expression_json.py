"""`AxisExpression` <-> JSON: monomials `[coefficient, factor, ...]`, factors being axis names or functions.

`3*batch*s + floor((w + 1)/2)` is `[[3,"batch","s"],[1,{"floor":[[[1,"w"],[1]],2]}]]`.
"""

from collections.abc import Sequence

from infc.ir.expression import AxisExpression, Factor, FloorDivision, Maximum, Minimum, Monomial
from infc.resolve.json_reader import ProfileFormatError, number_from, plain_number

MAX_DEPTH = 64


def json_from_expression(expression: AxisExpression) -> list[object]:
    """The expression as JSON.

    >>> json_from_expression(AxisExpression.axis("batch") * 3.0)
    [[3, 'batch']]
    """
    return [[plain_number(term.coefficient), *map(_json_from_factor, term.factors)] for term in expression.terms]


def _json_from_factor(factor: Factor) -> object:
    match factor:
        case str():
            return factor
        case FloorDivision():
            return {"floor": [json_from_expression(factor.numerator), factor.divisor]}
        case Maximum():
            return {"max": [json_from_expression(option) for option in factor.options]}
        case Minimum():
            return {"min": [json_from_expression(option) for option in factor.options]}


def expression_from_json(value: object, depth: int = 0) -> AxisExpression:
    """The expression that `json_from_expression` wrote.

    Raises:
        ProfileFormatError: the value is no expression.
    """
    if not isinstance(value, list) or depth > MAX_DEPTH:
        raise ProfileFormatError(f"{str(value)[:60]!r} is not an expression")
    return AxisExpression(terms=tuple(_monomial_from_json(term, depth) for term in value))


def _monomial_from_json(value: object, depth: int) -> Monomial:
    if not isinstance(value, list) or not value:
        raise ProfileFormatError(f"{str(value)[:60]!r} is not a term of an expression")
    return Monomial(
        coefficient=number_from(value[0], "the coefficient of a term"),
        factors=tuple(f if isinstance(f, str) else _function_from_json(f, depth + 1) for f in value[1:]),
    )


def _function_from_json(value: object, depth: int) -> Factor:
    match value:
        case {"floor": [numerator, int(divisor)], **rest} if divisor > 0 and not rest:
            return FloorDivision(numerator=expression_from_json(numerator, depth), divisor=divisor)
        case {"max": [_, *_] as options, **rest} if not rest:
            return Maximum(options=_options(options, depth))
        case {"min": [_, *_] as options, **rest} if not rest:
            return Minimum(options=_options(options, depth))
    raise ProfileFormatError(f"{str(value)[:60]!r} is not a factor of an expression")


def _options(options: Sequence[object], depth: int) -> tuple[AxisExpression, ...]:
    return tuple(expression_from_json(option, depth) for option in options)
