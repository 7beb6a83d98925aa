"""Who makes and who reads which bytes: views and absorbed transposes share the bytes of their input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infc.ir.model_profile import OperatorClass
from infc.resolve.onnx_analysis.graph import Graph, Node, Value

VIEWS = frozenset(("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "DequantizeLinear", "Optional"))
_MATRIX_CLASSES = (OperatorClass.GEMM, OperatorClass.ATTENTION)


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """Keys are those of values. `readers` and `producer` hold node indices, only for values with bytes of their own.

    `parts` are the values that share only some of their root's bytes. `free` are the nodes that move nothing: views,
    and transposes and splits that only matrix products read (scaling by a constant on the way does not count).
    """

    root: Mapping[int, int]
    readers: Mapping[int, Sequence[int]]
    producer: Mapping[int, int]
    free: frozenset[int]
    output_roots: frozenset[int]
    parts: frozenset[int]

    def root_of(self, key: int) -> int:
        """The value whose bytes `key` shares; itself when it has its own."""
        return self.root.get(key, key)

    def is_part(self, value: Value) -> bool:
        """Whether a value is only a part of the bytes that it shares: a piece of a split."""
        return value.key in self.parts

    def inputs_of(self, node: Node) -> tuple[int, ...]:
        """The values with bytes of their own that a node reads, each once."""
        return tuple(dict.fromkeys(self.root_of(value.key) for value in node.activations))


def dataflow(graph: Graph, classes: Sequence[OperatorClass]) -> Dataflow:
    """Resolve views of a graph whose node i is of class `classes[i]`."""
    consumers: dict[int, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        for value in node.activations:
            consumers.setdefault(value.key, []).append(index)
    graph_outputs = {value.key for value in graph.outputs}
    root: dict[int, int] = {}
    free = set()
    parts: set[int] = set()
    for index, node in enumerate(graph.nodes):
        is_free = _is_view(node) or (
            _is_selection(node) and _feeds_only_products(graph, classes, consumers, graph_outputs, node)
        )
        if is_free and node.activations:
            source = node.activations[0].key
            root.update((output.key, root.get(source, source)) for output in node.outputs)
            is_cut = node.op_type in ("Split", "Gather") or source in parts
            parts.update(output.key for output in node.outputs if is_cut)
            free.add(index)
    readers: dict[int, list[int]] = {}
    producer: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        if index in free:
            continue
        for key in dict.fromkeys(root.get(value.key, value.key) for value in node.activations):
            readers.setdefault(key, []).append(index)
        producer.update((output.key, index) for output in node.outputs)
    return Dataflow(
        root=root,
        readers=readers,
        producer=producer,
        free=frozenset(free),
        output_roots=frozenset(root.get(key, key) for key in graph_outputs),
        parts=frozenset(parts),
    )


def _is_view(node: Node) -> bool:
    return node.op_type in VIEWS and bool(node.outputs) and node.domain in ("", "ai.onnx", "com.microsoft")


def _is_selection(node: Node) -> bool:
    """Whether a node reorders or cuts an activation, which a matrix product does as it reads."""
    if node.op_type == "Gather":
        index = node.inputs[1] if len(node.inputs) > 1 else None
        is_single = index is not None and index.is_constant and index.elements.value == 1.0
        return is_single and bool(node.activations) and node.inputs[0] is node.activations[0]
    return node.op_type in ("Transpose", "Split") and bool(node.outputs)


def is_scaling(node: Node) -> bool:
    """Whether a node multiplies or divides one activation by one constant number."""
    if node.op_type not in ("Mul", "Div") or len(node.activations) != 1 or len(node.inputs) != 2:
        return False
    return any(value is not None and value.is_constant and value.elements.value == 1.0 for value in node.inputs)


def _feeds_only_products(
    graph: Graph,
    classes: Sequence[OperatorClass],
    consumers: Mapping[int, Sequence[int]],
    graph_outputs: set[int],
    node: Node,
) -> bool:
    """Whether only matrix products read this node's outputs, directly or through views, selections and scalings."""
    pending, has_product = [output.key for output in node.outputs], False
    while pending:
        key = pending.pop()
        if key in graph_outputs:
            return False
        for index in consumers.get(key, ()):
            reader = graph.nodes[index]
            if _is_view(reader) or _is_selection(reader) or is_scaling(reader):
                pending.extend(output.key for output in reader.outputs)
            elif classes[index] in _MATRIX_CLASSES:
                has_product = True
            else:
                return False
    return has_product
