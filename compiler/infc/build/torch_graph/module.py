"""The module that runs an ONNX graph, operator by operator, when `torch.export` traces it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from infc.build.torch_graph.elementwise import ELEMENTWISE
from infc.build.torch_graph.layers import LAYERS
from infc.build.torch_graph.node import Conversion, Node, read_node
from infc.build.torch_graph.reducing import REDUCING
from infc.build.torch_graph.shaping import SHAPING
from infc.build.torch_graph.values import NUMPY_TYPES, Sizes, UnsupportedModelError, Value, constant, integers, tensor

if TYPE_CHECKING:
    import onnx

CONVERSIONS: Mapping[str, Conversion] = {**ELEMENTWISE, **LAYERS, **REDUCING, **SHAPING}
"""How every supported operator is converted; Constant and ConstantOfShape are the module's own."""
_OWN = ("Constant", "ConstantOfShape")
_QUANTISING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
_DEFAULT_DOMAINS = ("", "ai.onnx")


def unsupported_operators(model: "onnx.ModelProto") -> tuple[str, ...]:
    """Operators of the model that have no conversion, in the order of the graph, each once."""
    names = (
        node.op_type if node.domain in _DEFAULT_DOMAINS else f"{node.domain}.{node.op_type}"
        for node in model.graph.node
    )
    known = {*CONVERSIONS, *_OWN}
    return tuple(dict.fromkeys(name for name in names if name not in known))


class OnnxModule(torch.nn.Module):  # type: ignore[misc]
    """A graph as a module: positional inputs and a tuple of outputs, both in the graph's order.

    Raises:
        UnsupportedModelError: an operator or a constant has no counterpart in torch.
    """

    def __init__(self, model: "onnx.ModelProto", device: torch.device) -> None:
        super().__init__()
        unknown = unsupported_operators(model)
        if any(name in _QUANTISING for name in unknown):
            raise UnsupportedModelError("torch.compile has no INT8 or FP8 products for Q/DQ models")
        if unknown:
            raise UnsupportedModelError(f"operators without a counterpart: {', '.join(unknown)}")
        opset = next(entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS)
        self._device = device
        self._graph = model.graph
        self._nodes = [read_node(node, opset, device) for node in model.graph.node]
        self._sizes: dict[str, Sizes] = {}
        self._buffers_by_name: dict[str, str] = {}
        for index, initializer in enumerate(model.graph.initializer):
            self._add_constant(initializer.name, initializer, index)
        offset = len(model.graph.initializer)
        for index, node in enumerate(model.graph.node):
            if node.op_type == "Constant":
                self._add_constant(node.output[0], _constant_tensor(node), offset + index)
        initial = {entry.name for entry in model.graph.initializer}
        self.inputs = tuple(entry.name for entry in model.graph.input if entry.name not in initial)
        self.outputs = tuple(entry.name for entry in model.graph.output)

    def _add_constant(self, name: str, proto: "onnx.TensorProto", index: int) -> None:
        import onnx

        value = constant(onnx.numpy_helper.to_array(proto))
        if isinstance(value, Sizes):
            self._sizes[name] = value
            return
        self._buffers_by_name[name] = f"constant_{index}"
        self.register_buffer(f"constant_{index}", value.to(self._device))

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the graph."""
        values: dict[str, Value] = dict(self._sizes)
        values.update({name: getattr(self, buffer) for name, buffer in self._buffers_by_name.items()})
        values.update(zip(self.inputs, inputs, strict=True))
        for proto, node in zip(self._graph.node, self._nodes, strict=True):
            if proto.op_type == "Constant":
                continue
            operands = [values[name] if name else None for name in proto.input]
            results = _constant_of_shape(proto, node, operands) if proto.op_type in _OWN else _convert(node, operands)
            values.update((name, value) for name, value in zip(proto.output, results, strict=False) if name)
        return tuple(tensor(values[name], self._device) for name in self.outputs)


def _convert(node: Node, operands: Sequence[Value | None]) -> tuple[Value, ...]:
    result = CONVERSIONS[node.op_type](node, *operands)
    return result if isinstance(result, tuple) else (result,)


def _constant_tensor(node: "onnx.NodeProto") -> "onnx.TensorProto":
    """The value of a Constant, whichever attribute holds it."""
    import numpy as np
    import onnx

    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        proto: onnx.TensorProto = value
        return proto
    types = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    if attribute.name not in types:
        raise UnsupportedModelError(f"Constant {node.output[0]}: {attribute.name} is not supported")
    return onnx.numpy_helper.from_array(np.array(value, dtype=types[attribute.name]))


def _constant_of_shape(proto: "onnx.NodeProto", node: Node, operands: Sequence[Value | None]) -> tuple[Value, ...]:
    import numpy as np
    import onnx

    shape = integers(operands[0], f"the shape of ConstantOfShape {node.name}")
    filled = onnx.numpy_helper.to_array(proto.attribute[0].t) if proto.attribute else np.zeros(1, np.float32)
    dtype = NUMPY_TYPES[filled.dtype.name]
    number = filled.ravel()[0].item()
    if len(shape) == 1 and isinstance(shape[0], int) and not dtype.is_floating_point:
        return (Sizes(numbers=(number,) * shape[0], is_vector=True, dtype=dtype),)
    return (torch.full(shape, number, dtype=dtype, device=node.device),)
