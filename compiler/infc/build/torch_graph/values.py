"""What flows between the operators of a model: tensors, and the small lists of numbers that shapes are made of."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch

MOST_INTEGERS, MOST_REALS = 64, 8
"""Elements of a constant vector that may describe a shape or its scales; longer ones are data."""
Number: TypeAlias = int | float | bool
"""A Python number, or a symbol of the exporter that stands for one (torch.SymInt, SymFloat, SymBool)."""

NUMPY_TYPES = {
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "bool": torch.bool,
}
"""Torch's data types by numpy's name."""


class UnsupportedModelError(ValueError):
    """The model holds something that has no counterpart here; the message says what and where."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers known while the model is exported: a scalar, or the elements of a vector."""

    numbers: tuple[Number, ...]
    is_vector: bool
    dtype: torch.dtype = torch.int64

    @property
    def scalar(self) -> Number:
        """The only number."""
        if len(self.numbers) != 1:
            raise UnsupportedModelError(f"one number is needed where there are {len(self.numbers)}")
        return self.numbers[0]

    def cast(self, dtype: torch.dtype) -> "Sizes":
        """The same numbers in another data type."""
        numbers: Iterable[Number]
        if dtype == torch.bool:
            numbers = (number != 0 for number in self.numbers)
        elif dtype.is_floating_point:
            numbers = (torch.sym_float(number) for number in self.numbers)
        else:
            numbers = (torch.sym_int(number) for number in self.numbers)
        return replace(self, numbers=tuple(numbers), dtype=dtype)


Value: TypeAlias = torch.Tensor | Sizes


def constant(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Value:
    """A constant of the model: what may describe a shape as `Sizes`, everything else as a tensor."""
    name = array.dtype.name
    if name not in NUMPY_TYPES:
        raise UnsupportedModelError(f"constants of type {name} are not supported")
    dtype = NUMPY_TYPES[name]
    is_small = array.ndim <= 1 and array.size <= (MOST_REALS if dtype.is_floating_point else MOST_INTEGERS)
    if is_small:
        return Sizes(numbers=tuple(array.astype(object).ravel().tolist()), is_vector=array.ndim == 1, dtype=dtype)
    if dtype == torch.bfloat16:
        return torch.from_numpy(np.array(array.view(np.int16))).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def tensor(value: Value, device: torch.device) -> torch.Tensor:
    """The value as a tensor on `device`."""
    if isinstance(value, torch.Tensor):
        return value
    if all(isinstance(number, int | float) for number in value.numbers):
        numbers = list(value.numbers) if value.is_vector else value.scalar
        return torch.tensor(numbers, dtype=value.dtype, device=device)
    parts = [torch.scalar_tensor(number, dtype=value.dtype, device=device) for number in value.numbers]
    return torch.stack(parts) if value.is_vector else parts[0]


def integers(value: Value | None, what: str) -> tuple[int, ...]:
    """The numbers of a value that must be known while the model is exported.

    Raises:
        UnsupportedModelError: they are computed from the model's data.
    """
    if not isinstance(value, Sizes):
        raise UnsupportedModelError(f"{what} is computed from data, so that sizes are not known before the model runs")
    return tuple(torch.sym_int(number) for number in value.numbers)


def combined(operation: Callable[..., Number], *operands: Sizes, dtype: torch.dtype | None = None) -> Sizes:
    """An elementwise operation on numbers; scalars and vectors of one element are repeated."""
    length = max(len(operand.numbers) for operand in operands)
    columns = [operand.numbers * length if len(operand.numbers) == 1 else operand.numbers for operand in operands]
    return Sizes(
        numbers=tuple(operation(*row) for row in zip(*columns, strict=True)),
        is_vector=any(operand.is_vector for operand in operands),
        dtype=dtype or operands[0].dtype,
    )


def are_sizes(values: Sequence[Value | None]) -> bool:
    """Whether all of the values are numbers known while the model is exported."""
    return all(isinstance(value, Sizes) for value in values)
