"""The flat graph -> `ModelProfile`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infc.ir.expression import ZERO, AxisExpression
from infc.ir.model_profile import ModelProfile, OperatorClass, OperatorProfile, TensorSpec
from infc.resolve.onnx_analysis.axes import batch_of
from infc.resolve.onnx_analysis.dataflow import Dataflow, dataflow
from infc.resolve.onnx_analysis.flops import rule_of
from infc.resolve.onnx_analysis.fusion import fuse
from infc.resolve.onnx_analysis.graph import Graph, Node, Value
from infc.resolve.onnx_analysis.liveness import peak_elements

_PARTIAL_READS = frozenset(
    ("Gather", "GatherND", "GatherElements", "GatherBlockQuantized", "Slice", "EmbedLayerNormalization")
)
MATRIX_CLASSES = frozenset((
    OperatorClass.CONV, OperatorClass.DEPTHWISE_CONV, OperatorClass.GROUPED_CONV, OperatorClass.GEMM,
    OperatorClass.ATTENTION, OperatorClass.RECURRENT,
))  # fmt: skip
"""Operators that hold nearly all arithmetic of a network."""
_SIZED_BY_DATA = frozenset(("NonZero", "NonMaxSuppression", "Unique", "Compress"))


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """A profile, and what it could not count.

    `unknown_operators` are those that the FLOP table does not know (`domain::type`, sorted). `products` counts the
    convolutions and other matrix operators; `unsized_products` are those whose FLOPs are not known for want of a size.
    """

    profile: ModelProfile
    unknown_operators: tuple[str, ...]
    products: int
    unsized_products: tuple[Node, ...]


def profile_of(graph: Graph, *, name: str, digest: str, axes: Sequence[str]) -> Profiled:
    """Count every operator of the graph and group the operators that run as one kernel."""
    rules = [rule_of(node) for node in graph.nodes]
    classes = [
        _class_of(node, rule[0] if rule else OperatorClass.DATA_MOVEMENT)
        for node, rule in zip(graph.nodes, rules, strict=True)
    ]
    flow = dataflow(graph, classes)
    groups = fuse(graph, classes, flow)
    seen: set[tuple[int, int]] = set()
    operators = []
    for index, (node, rule) in enumerate(zip(graph.nodes, rules, strict=True)):
        is_free = index in flow.free
        operators.append(
            OperatorProfile(
                name=node.name,
                op_type=node.op_type,
                operator_class=classes[index],
                fusion_group=groups[index],
                flops=rule[1](node) if rule and not is_free else ZERO,
                weight_elements=_weight_elements(node),
                input_elements=_sum(_read_elements(node, value) for value in node.activations),
                output_elements=_sum(output.elements for output in node.outputs),
                external_input_elements=ZERO if is_free else _external(flow, groups, index, node, seen),
                is_group_output=not is_free and _leaves_group(flow, groups, index, node),
            )
        )
    inputs, outputs = tuple(map(_tensor_spec, graph.inputs)), tuple(map(_tensor_spec, graph.outputs))
    batch = batch_of(inputs, tuple(map(_tensor_spec, _telling_outputs(graph))))
    profile = ModelProfile(
        name=name,
        digest=digest,
        format="onnx",
        opset=graph.opset,
        inputs=inputs,
        outputs=outputs,
        batch_axis=batch.axis,
        fixed_batch=batch.fixed,
        axes=tuple(axis for axis in axes if axis != batch.axis),
        parameter_elements=graph.parameter_elements,
        weight_bytes=graph.weight_bytes,
        peak_activation_elements=peak_elements(_live_elements(graph, flow), axes),
        operators=tuple(operators),
    )
    unknown = {
        f"{node.domain or 'ai.onnx'}::{node.op_type}"
        for node, rule in zip(graph.nodes, rules, strict=True)
        if rule is None
    }
    products = [
        (node, operator)
        for node, operator in zip(graph.nodes, operators, strict=True)
        if operator.operator_class in MATRIX_CLASSES
    ]
    return Profiled(
        profile=profile,
        unknown_operators=tuple(sorted(unknown)),
        products=len(products),
        unsized_products=tuple(node for node, operator in products if _is_unsized(node, operator)),
    )


def _telling_outputs(graph: Graph) -> tuple[Value, ...]:
    """The outputs that say whether there is a batch: all but those whose size was not found for want of a rule.

    Where the data decides sizes, an output of unknown size rather holds what was found in the whole batch.
    """
    if any(node.op_type in _SIZED_BY_DATA for node in graph.nodes):
        return graph.outputs
    return tuple(value for value in graph.outputs if value.shape is not None)


def _is_unsized(node: Node, operator: OperatorProfile) -> bool:
    """Whether the FLOPs of a matrix operator are not its real ones: a size is unknown, or its rule needs more."""
    is_unknown = any(value.shape is None for value in (*node.arguments, *node.outputs))
    return is_unknown or (not operator.flops.terms and bool(operator.output_elements.terms))


def _class_of(node: Node, operator_class: OperatorClass) -> OperatorClass:
    """`Gather` from a weight is an embedding; from an activation it only moves data."""
    if node.op_type == "Gather" and not (node.inputs and node.inputs[0] is not None and node.inputs[0].is_constant):
        return OperatorClass.DATA_MOVEMENT
    return operator_class


def _weight_elements(node: Node) -> int:
    """Constant elements that one execution reads. Rows gathered from a table count as external input instead."""
    weights = node.weights[1:] if node.op_type in _PARTIAL_READS and node.weights else node.weights
    return sum(round(value.elements.value or 0) for value in weights)


def _read_elements(node: Node, value: Value) -> AxisExpression:
    if node.op_type in _PARTIAL_READS and node.inputs and value is node.inputs[0]:
        return node.outputs[0].elements
    return value.elements


def _external(
    flow: Dataflow, groups: Sequence[int], index: int, node: Node, seen: set[tuple[int, int]]
) -> AxisExpression:
    """Elements that this operator brings into its group; what its group already read is not read again."""
    total = ZERO
    if node.op_type in _PARTIAL_READS and node.inputs and node.inputs[0] is not None and node.inputs[0].is_constant:
        total = node.outputs[0].elements
    for value in node.activations:
        key = flow.root_of(value.key)
        maker = flow.producer.get(key)
        read = value.key if flow.is_part(value) else key
        if (groups[index], read) in seen or (maker is not None and groups[maker] == groups[index]):
            continue
        seen.add((groups[index], read))
        total = total + _read_elements(node, value)
    return total


def _leaves_group(flow: Dataflow, groups: Sequence[int], index: int, node: Node) -> bool:
    return any(
        output.key in flow.output_roots
        or any(groups[reader] != groups[index] for reader in flow.readers.get(output.key, ()))
        for output in node.outputs
    )


def _live_elements(graph: Graph, flow: Dataflow) -> list[AxisExpression]:
    """Elements alive while each operator runs, as if none were fused: an output lives until its last reader has run.

    TensorRT's own activation memory was 0.75 to 1.2 times the peak of this for a convolutional network and an encoder.
    """
    end = len(graph.nodes)
    born: dict[int, AxisExpression] = {}
    dies: dict[int, AxisExpression] = {}
    made = [(value, 0) for value in graph.inputs]
    made += [(value, i) for i, node in enumerate(graph.nodes) if i not in flow.free for value in node.outputs]
    for value, start in made:
        last = end if value.key in flow.output_roots else max(flow.readers.get(value.key, ()), default=start)
        born[start] = born.get(start, ZERO) + value.elements
        dies[last] = dies.get(last, ZERO) + value.elements
    live, moments = ZERO, []
    for step in range(end):
        live = live + born.get(step, ZERO)
        moments.append(live)
        live = live + dies.get(step, ZERO) * -1.0
    return moments


def _sum(parts: Iterable[AxisExpression]) -> AxisExpression:
    total = ZERO
    for part in parts:
        total = total + part
    return total


def _tensor_spec(value: Value) -> TensorSpec:
    shape = value.shape or ()
    is_formula = any(size.value is None and axis_of(size) is None for size in shape)
    return TensorSpec(
        name=value.name,
        dtype=value.dtype,
        shape=tuple(_size(size) for size in shape),
        elements=value.elements if is_formula else None,
    )


def _size(size: AxisExpression) -> int | str:
    """A size as the profile states it: a number, an axis, or the formula in text."""
    return round(size.value) if size.value is not None else axis_of(size) or str(size)


def axis_of(size: AxisExpression) -> str | None:
    """The axis whose size this is, None when it is a number or a formula."""
    if len(size.terms) != 1 or size.terms[0].coefficient != 1.0 or len(size.terms[0].factors) != 1:
        return None
    factor = size.terms[0].factors[0]
    return factor if isinstance(factor, str) else None
