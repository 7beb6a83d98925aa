"""Who makes and who reads which bytes: views and absorbed transposes share the bytes of their input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infc.ir.model_profile import OperatorClass
from infc.resolve.onnx_analysis.graph import Graph, Node

VIEWS = frozenset(("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "DequantizeLinear", "Optional"))
_MATRIX_CLASSES = (OperatorClass.GEMM, OperatorClass.ATTENTION)


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """Keys are those of values. `readers` and `producer` hold node indices, only for values with bytes of their own.

    `free` are the nodes that move nothing: views, and transposes that only matrix products read.
    """

    root: Mapping[int, int]
    readers: Mapping[int, Sequence[int]]
    producer: Mapping[int, int]
    free: frozenset[int]
    output_roots: frozenset[int]

    def root_of(self, key: int) -> int:
        """The value whose bytes `key` shares; itself when it has its own."""
        return self.root.get(key, key)

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
    for index, node in enumerate(graph.nodes):
        is_free = _is_view(node) or (
            node.op_type == "Transpose" and _feeds_only_products(graph, classes, consumers, graph_outputs, node)
        )
        if is_free and node.activations:
            source = node.activations[0].key
            root[node.outputs[0].key] = root.get(source, source)
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
    )


def _is_view(node: Node) -> bool:
    return node.op_type in VIEWS and bool(node.outputs) and node.domain in ("", "ai.onnx", "com.microsoft")


def _feeds_only_products(
    graph: Graph,
    classes: Sequence[OperatorClass],
    consumers: Mapping[int, Sequence[int]],
    graph_outputs: set[int],
    node: Node,
) -> bool:
    """Whether only matrix products read this node's output, directly or through views."""
    pending, has_product = [node.outputs[0].key], False
    while pending:
        key = pending.pop()
        if key in graph_outputs:
            return False
        for index in consumers.get(key, ()):
            reader = graph.nodes[index]
            if _is_view(reader):
                pending.append(reader.outputs[0].key)
            elif classes[index] in _MATRIX_CLASSES:
                has_product = True
            else:
                return False
    return has_product
