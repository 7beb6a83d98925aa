"""Attention written as operators: Q K^T, scaling and mask, softmax, the product with V."""

from collections.abc import Mapping, Sequence

from infc.ir.model_profile import OperatorClass
from infc.resolve.onnx_analysis.dataflow import Dataflow, is_scaling
from infc.resolve.onnx_analysis.graph import Graph

MAX_POINTWISE = 12
"""Pointwise operators between a product and the softmax; scale, mask, clamp and casts are fewer."""


def attention_cores(graph: Graph, classes: Sequence[OperatorClass], flow: Dataflow) -> Mapping[int, int]:
    """Node index -> index of the softmax at the heart of its attention, for every operator inside one."""
    cores: dict[int, int] = {}
    for index, operator_class in enumerate(classes):
        if operator_class is not OperatorClass.SOFTMAX:
            continue
        before = _scores(graph, classes, flow, index)
        after = _weighted_sum(graph, classes, flow, index) if before else None
        if before and after:
            scaled = _scalings(graph, flow, before[0])
            cores.update(dict.fromkeys((*scaled, *before, index, *after), index))
    return cores


def _scalings(graph: Graph, flow: Dataflow, product: int) -> tuple[int, ...]:
    """The nodes that scale an operand of Q K^T by a constant and have no other reader."""
    makers = [(key, flow.producer[key]) for key in flow.inputs_of(graph.nodes[product]) if key in flow.producer]
    return tuple(i for key, i in makers if is_scaling(graph.nodes[i]) and flow.readers.get(key) == [product])


def _scores(graph: Graph, classes: Sequence[OperatorClass], flow: Dataflow, softmax: int) -> tuple[int, ...] | None:
    """The product of two activations that a softmax normalises, and the pointwise operators between them."""
    found: list[int] = []
    index = softmax
    while len(found) <= MAX_POINTWISE:
        producers = [
            flow.producer[key]
            for key in flow.inputs_of(graph.nodes[index])
            if key in flow.producer and flow.readers.get(key) == [index] and key not in flow.output_roots
        ]
        products = [i for i in producers if _is_product(graph, classes, i)]
        if products:
            return (products[0], *found)
        size = graph.nodes[index].outputs[0].elements
        inner = [
            i
            for i in producers
            if classes[i] is OperatorClass.ELEMENTWISE and graph.nodes[i].outputs[0].elements == size
        ]
        if len(inner) != 1:
            return None
        index = inner[0]
        found.append(index)
    return None


def _weighted_sum(
    graph: Graph, classes: Sequence[OperatorClass], flow: Dataflow, softmax: int
) -> tuple[int, ...] | None:
    """The pointwise operators after a softmax and the one product that they all lead to."""
    inner: list[int] = []
    products: set[int] = set()
    pending = [softmax]
    while pending:
        node = graph.nodes[pending.pop()]
        for output in node.outputs:
            if output.key in flow.output_roots:
                return None
            for reader in flow.readers.get(output.key, ()):
                if _is_product(graph, classes, reader):
                    products.add(reader)
                elif classes[reader] is not OperatorClass.ELEMENTWISE or len(inner) > MAX_POINTWISE:
                    return None
                elif reader not in inner:
                    inner.append(reader)
                    pending.append(reader)
    return (*inner, *products) if len(products) == 1 else None


def _is_product(graph: Graph, classes: Sequence[OperatorClass], index: int) -> bool:
    return classes[index] is OperatorClass.GEMM and len(graph.nodes[index].activations) >= 2
