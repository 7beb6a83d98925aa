"""Operators that work on each element."""

import math
import operator
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from infc.build.torch_graph.node import Conversion, Node
from infc.build.torch_graph.values import Number, Sizes, Value, are_sizes, combined

_UNARY: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": functional.hardswish,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": functional.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": functional.softplus,
    "Softsign": functional.softsign,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}
_NUMBER_UNARY: Mapping[str, Callable[[Number], Number]] = {
    "Abs": abs,
    "Ceil": math.ceil,
    "Floor": math.floor,
    "Neg": operator.neg,
    "Not": operator.not_,
}
_BINARY: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}
_NUMBER_BINARY: Mapping[str, Callable[[Number, Number], Number]] = {
    "Add": operator.add,
    "And": lambda left, right: bool(left) and bool(right),
    "Equal": lambda left, right: bool(left == right),
    "Greater": lambda left, right: bool(left > right),
    "GreaterOrEqual": lambda left, right: bool(left >= right),
    "Less": lambda left, right: bool(left < right),
    "LessOrEqual": lambda left, right: bool(left <= right),
    "Mul": operator.mul,
    "Or": lambda left, right: bool(left) or bool(right),
    "Sub": operator.sub,
}
_PREDICATES = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or")


def unary(node: Node, value: Value) -> Value:
    """Operators of one operand."""
    if isinstance(value, Sizes) and node.op_type in _NUMBER_UNARY:
        dtype = torch.bool if node.op_type in _PREDICATES else value.dtype
        return combined(_NUMBER_UNARY[node.op_type], value, dtype=dtype)
    return _UNARY[node.op_type](node.tensor(value))


def binary(node: Node, left: Value, right: Value) -> Value:
    """Operators of two operands, which are broadcast."""
    if isinstance(left, Sizes) and isinstance(right, Sizes) and node.op_type in _NUMBER_BINARY:
        dtype = torch.bool if node.op_type in _PREDICATES else left.dtype
        return combined(_NUMBER_BINARY[node.op_type], left, right, dtype=dtype)
    return _BINARY[node.op_type](node.tensor(left), node.tensor(right))


def _divide(node: Node, left: Value, right: Value) -> Value:
    """Integers are divided towards zero."""
    if isinstance(left, Sizes) and isinstance(right, Sizes):
        is_real = left.dtype.is_floating_point
        return combined(operator.truediv if is_real else operator.floordiv, left, right)
    dividend, divisor = node.tensor(left), node.tensor(right)
    if dividend.is_floating_point():
        return torch.div(dividend, divisor)
    return torch.div(dividend, divisor, rounding_mode="trunc")


def _modulo(node: Node, left: Value, right: Value) -> Value:
    """The sign is the divisor's, with `fmod` the dividend's."""
    is_fmod = node.integer("fmod", 0) == 1
    if isinstance(left, Sizes) and isinstance(right, Sizes) and not is_fmod:
        return combined(operator.mod, left, right)
    return (torch.fmod if is_fmod else torch.remainder)(node.tensor(left), node.tensor(right))


def _power(node: Node, base: Value, exponent: Value) -> Value:
    value = node.tensor(base)
    if isinstance(exponent, Sizes) and len(exponent.numbers) == 1 and isinstance(exponent.scalar, int | float):
        return torch.pow(value, exponent.scalar).to(value.dtype)
    return torch.pow(value, node.tensor(exponent)).to(value.dtype)


def _variadic(node: Node, *values: Value) -> Value:
    """Max, Min, Sum and Mean of any number of operands."""
    if are_sizes(values) and node.op_type in ("Max", "Min") and len(values) > 1:
        pick = torch.sym_max if node.op_type == "Max" else torch.sym_min
        result = values[0]
        for value in values[1:]:
            assert isinstance(result, Sizes) and isinstance(value, Sizes)  # noqa: S101, PT018
            result = combined(pick, result, value)
        return result
    tensors = [node.tensor(value) for value in values]
    fold = {"Max": torch.maximum, "Min": torch.minimum}.get(node.op_type, torch.add)
    total = tensors[0]
    for each in tensors[1:]:
        total = fold(total, each)
    return total / len(tensors) if node.op_type == "Mean" else total


def _where(node: Node, condition: Value, yes: Value, no: Value) -> Value:
    if are_sizes((condition, yes, no)):
        assert isinstance(condition, Sizes) and isinstance(yes, Sizes) and isinstance(no, Sizes)  # noqa: S101, PT018
        return combined(lambda c, a, b: a if c else b, condition, yes, no, dtype=yes.dtype)
    return torch.where(node.tensor(condition), node.tensor(yes), node.tensor(no))


def _clip(node: Node, value: Value, low: Value | None = None, high: Value | None = None) -> Value:
    data = node.tensor(value)
    bounds: list[float | torch.Tensor | None] = []
    for name, given in (("min", low), ("max", high)):
        if isinstance(given, Sizes) and isinstance(given.scalar, int | float):
            bounds.append(given.scalar)
        elif given is not None:
            bounds.append(node.tensor(given))
        else:
            bounds.append(node.number(name, 0.0) if name in node.attributes else None)
    if bounds == [None, None]:
        return data
    if any(isinstance(bound, torch.Tensor) for bound in bounds):
        for bound, pick in zip(bounds, (torch.maximum, torch.minimum), strict=True):
            if bound is not None:
                data = pick(data, torch.as_tensor(bound, dtype=data.dtype, device=data.device))
        return data
    return torch.clamp(data, *bounds)


def _gelu(node: Node, value: Value) -> Value:
    return functional.gelu(node.tensor(value), approximate=node.text("approximate", "none"))


def _leaky_relu(node: Node, value: Value) -> Value:
    return functional.leaky_relu(node.tensor(value), node.number("alpha", 0.01))


def _elu(node: Node, value: Value) -> Value:
    return functional.elu(node.tensor(value), node.number("alpha", 1.0))


def _celu(node: Node, value: Value) -> Value:
    return functional.celu(node.tensor(value), node.number("alpha", 1.0))


def _selu(node: Node, value: Value) -> Value:
    alpha, gamma = node.number("alpha", 1.6732632), node.number("gamma", 1.0507010)
    data = node.tensor(value)
    return gamma * torch.where(data > 0, data, alpha * torch.expm1(data))


def _hard_sigmoid(node: Node, value: Value) -> Value:
    return torch.clamp(node.number("alpha", 0.2) * node.tensor(value) + node.number("beta", 0.5), 0.0, 1.0)


def _parametric_relu(node: Node, value: Value, slope: Value) -> Value:
    data = node.tensor(value)
    return torch.where(data > 0, data, data * node.tensor(slope))


def _is_infinite(node: Node, value: Value) -> Value:
    data = node.tensor(value)
    found = torch.zeros_like(data, dtype=torch.bool)
    if node.integer("detect_positive", 1):
        found = found | torch.isposinf(data)
    if node.integer("detect_negative", 1):
        found = found | torch.isneginf(data)
    return found


ELEMENTWISE: Mapping[str, Conversion] = {
    **dict.fromkeys(_UNARY, unary),
    **dict.fromkeys(_BINARY, binary),
    **dict.fromkeys(("Max", "Min", "Sum", "Mean"), _variadic),
    "Celu": _celu,
    "Clip": _clip,
    "Div": _divide,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "IsInf": _is_infinite,
    "LeakyRelu": _leaky_relu,
    "Mod": _modulo,
    "PRelu": _parametric_relu,
    "Pow": _power,
    "Selu": _selu,
    "Where": _where,
}
"""Conversions by operator."""
