"""One operator of the model with its attributes, as the conversions read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch

from infc.build.torch_graph.values import UnsupportedModelError, Value, integers, tensor

if TYPE_CHECKING:
    import onnx

Attribute: TypeAlias = int | float | str | bytes | list[int] | list[float] | list[str] | None


@dataclass(frozen=True, kw_only=True)
class Node:
    """An operator. `opset` is the version of the operator set that gives it its meaning."""

    name: str
    op_type: str
    opset: int
    attributes: Mapping[str, Attribute]
    outputs: int
    device: torch.device

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name, default)
        assert isinstance(value, int)  # noqa: S101 - onnx.checker looked
        return value

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        value = self.attributes.get(name, default)
        assert isinstance(value, int | float)  # noqa: S101
        return float(value)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """A list of integers."""
        value = self.attributes.get(name)
        return list(default) if value is None else [int(number) for number in value]  # type: ignore[union-attr]

    def axes(self, values: Sequence[Value | None], position: int) -> list[int] | None:
        """`axes`, an attribute in old operator sets and an input in new ones; None where it is left out."""
        if "axes" in self.attributes:
            return self.integers("axes", ())
        given = values[position] if len(values) > position else None
        return None if given is None else list(integers(given, f"axes of {self.op_type} {self.name}"))

    def tensor(self, value: Value | None) -> torch.Tensor:
        """An input that must be there, as a tensor."""
        if value is None:
            raise UnsupportedModelError(f"{self.op_type} {self.name} lacks an input")
        return tensor(value, self.device)

    def refused(self, what: str) -> UnsupportedModelError:
        """The error that this operator is used in a way that has no counterpart."""
        return UnsupportedModelError(f"{self.op_type} {self.name}: {what}")


Conversion: TypeAlias = Callable[..., Value | tuple[Value, ...]]
"""Called with the node and its input values (None: left out); gives one value or one for each output."""


def read_node(node: "onnx.NodeProto", opset: int, device: torch.device) -> Node:
    """A node of the graph; `tensor` attributes are left out, the conversions of constants read them."""
    import onnx

    attributes = {
        attribute.name: onnx.helper.get_attribute_value(attribute)
        for attribute in node.attribute
        if attribute.type not in (onnx.AttributeProto.TENSOR, onnx.AttributeProto.GRAPH)
    }
    return Node(
        name=node.name or node.output[0],
        op_type=node.op_type,
        opset=opset,
        attributes=attributes,
        outputs=len(node.output),
        device=device,
    )
