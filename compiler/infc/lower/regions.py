"""Operators that keep their precision, grouped: neighbours with one reason are told as one region."""

from collections.abc import Mapping

import onnx

from infc.lower import graph as g


def region_notes(model: onnx.ModelProto, kept: Mapping[str, str], precision: str) -> tuple[str, ...]:
    """One line for each region, in graph order: how many operators, which, and why they stay.

    A region is operators that read each other's values and have the same kind of reason (a measured value differs
    from operator to operator, and the largest is told).

    >>> graph = onnx.parser.parse_graph("g (float[1] x) => (float[1] z) { y = Neg (x)  z = Abs (y) }")
    >>> graph.node[0].name, graph.node[1].name = "n1", "n2"
    >>> region_notes(onnx.helper.make_model(graph), {"n1": "too large", "n2": "too large"}, "FP32")
    ('2 operators stay FP32 (n1 to n2: Abs, Neg): too large',)
    """
    nodes = {node.name: node for node in model.graph.node if node.name in kept}
    leader = {name: name for name in nodes}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    made = g.producers(model.graph)
    order = {name: index for index, name in enumerate(nodes)}
    for node in nodes.values():
        for value in node.input:
            before = made.get(value)
            if before is not None and before.name in nodes and _kind(kept[before.name]) == _kind(kept[node.name]):
                first, second = sorted((find(before.name), find(node.name)), key=order.__getitem__)
                leader[second] = first
    regions: dict[str, list[str]] = {}
    for name in nodes:
        regions.setdefault(find(name), []).append(name)
    return tuple(_note([nodes[name] for name in names], kept, precision) for names in regions.values())


def _kind(reason: str) -> str:
    return reason.split(" ", 1)[0]


def _note(nodes: list[onnx.NodeProto], kept: Mapping[str, str], precision: str) -> str:
    reason = kept[nodes[0].name]
    if len(nodes) == 1:
        return f"{nodes[0].name} stays {precision}: {reason}"
    types = ", ".join(sorted({node.op_type for node in nodes}))
    return f"{len(nodes)} operators stay {precision} ({nodes[0].name} to {nodes[-1].name}: {types}): {reason}"
