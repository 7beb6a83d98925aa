"""The graph as the analysis sees it: flat, in execution order, every size a function of the axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from infc.ir.expression import ONE, AxisExpression, product

Shape: TypeAlias = tuple[AxisExpression, ...]
Attribute: TypeAlias = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor. `key` is unique in the flattened graph; `shape` is None where no inference could find it.

    `is_constant`: known before the model runs (a weight, or computed from weights alone). `is_host`: a shape or index
    that the runtime computes on the host. `constants` holds the numbers of small integer constants.
    """

    key: int
    name: str
    dtype: str
    bits: int
    shape: Shape | None
    is_constant: bool = False
    is_host: bool = False
    numbers: tuple[float, ...] | None = None

    @property
    def elements(self) -> AxisExpression:
        """Number of elements; 1 where the shape is unknown (the analysis says so in a diagnostic)."""
        return product(self.shape) if self.shape is not None else ONE


@dataclass(frozen=True, kw_only=True)
class Node:
    """An operator. Absent optional inputs are None. `body` names the Loop, Scan or If whose body it stands in."""

    name: str
    domain: str
    op_type: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    body_of: str = ""

    @property
    def arguments(self) -> tuple[Value, ...]:
        """The inputs that are there."""
        return tuple(value for value in self.inputs if value is not None)

    @property
    def activations(self) -> tuple[Value, ...]:
        """Inputs that only exist at run time, on the device."""
        return tuple(value for value in self.arguments if not value.is_constant and not value.is_host)

    @property
    def weights(self) -> tuple[Value, ...]:
        """Inputs that are known before the model runs."""
        return tuple(value for value in self.arguments if value.is_constant)

    def shape(self, index: int) -> Shape | None:
        """The shape of input `index`; None when it is absent or unknown."""
        value = self.inputs[index] if index < len(self.inputs) else None
        return value.shape if value is not None else None

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers; None when the attribute is absent."""
        value = self.attributes.get(name)
        if not isinstance(value, tuple) or not all(isinstance(v, int) for v in value):
            return None
        return tuple(int(v) for v in value)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default


@dataclass(frozen=True, kw_only=True)
class Graph:
    """`nodes` run on the device, in order; constant and host-side operators are already folded away."""

    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    parameter_elements: int
    weight_bytes: int
    opset: int


def elements(shape: Sequence[AxisExpression]) -> AxisExpression:
    """Number of elements of a shape.

    >>> elements((AxisExpression.axis("batch"), AxisExpression.constant(3))).at({"batch": 2})
    6.0
    """
    return product(tuple(shape))
