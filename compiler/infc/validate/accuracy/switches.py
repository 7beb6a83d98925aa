"""A quantised model whose operators can be switched one by one between quantised and exact inputs, in one session.

Measuring what each of fifty operators costs by lowering fifty models takes minutes; with switches it takes fifty runs.
"""

from collections.abc import Iterable, Mapping

import onnx
from onnx import TensorProto, helper

from infc.lower.arrays import Array
from infc.validate.accuracy.inference import Session

PREFIX = "infc_switch__"


def switched(quantised: onnx.ModelProto, exact: onnx.ModelProto, operators: Iterable[str]) -> onnx.ModelProto:
    """`quantised` with one more boolean input for each operator, `PREFIX` and its name: True takes quantised inputs.

    `exact` is the same model lowered to FP32: weights that `quantised` stores quantised only come from there. Every
    input of an operator that comes from a DequantizeLinear gets a choice between that and the value before its Q/DQ
    pair. Operators without such an input get no switch.
    """
    wanted = set(operators)
    model = onnx.ModelProto()
    model.CopyFrom(quantised)
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    originals = {node.name: node for node in exact.graph.node}
    weights = {tensor.name: tensor for tensor in exact.graph.initializer}
    known = {tensor.name for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        choices = {}
        for index, name in enumerate(node.input):
            source = _before(name, producers, originals.get(node.name), index)
            if source is not None and (source in producers or source in weights or _is_input(source, graph)):
                choices[index] = source
        if node.name in wanted and node.op_type not in ("QuantizeLinear", "DequantizeLinear") and choices:
            graph.input.append(helper.make_tensor_value_info(PREFIX + node.name, TensorProto.BOOL, []))
            for index, source in choices.items():
                if source not in producers and source in weights and source not in known:
                    graph.initializer.append(weights[source])
                    known.add(source)
                chosen = f"{PREFIX}{node.name}__{index}"
                inputs = [PREFIX + node.name, node.input[index], source]
                nodes.append(helper.make_node("Where", inputs, [chosen], name=chosen))
                node.input[index] = chosen
        nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return model


def switches_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """The operators that have a switch, in graph order."""
    return tuple(value.name.removeprefix(PREFIX) for value in model.graph.input if value.name.startswith(PREFIX))


class SwitchedSession:
    """A session of a switched model with some operators quantised; the others take their exact inputs."""

    def __init__(self, session: Session, switches: Iterable[str], on: Iterable[str], true: Array, false: Array) -> None:
        quantised = set(on)
        self._session = session
        self._flags = {PREFIX + name: true if name in quantised else false for name in switches}

    def run(self, names: list[str], feeds: dict[str, Array]) -> list[Array]:
        """The named outputs for one batch of inputs."""
        return self._session.run(names, {**feeds, **self._flags})


def _before(
    name: str, producers: Mapping[str, onnx.NodeProto], original: onnx.NodeProto | None, index: int
) -> str | None:
    """The value that went into the Q/DQ pair which `name` comes from; None where it comes from none."""
    dequantize = producers.get(name)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    quantize = producers.get(dequantize.input[0])
    if quantize is not None and quantize.op_type == "QuantizeLinear":
        return str(quantize.input[0])
    return str(original.input[index]) if original is not None and index < len(original.input) else None


def _is_input(name: str, graph: onnx.GraphProto) -> bool:
    return any(value.name == name for value in graph.input)
