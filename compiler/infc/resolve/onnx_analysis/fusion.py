"""Which operators run as one kernel: groups in the way TensorRT fuses.

The rules, in order: (1) views, Q/DQ pairs, transposes and splits that only matrix products read cost nothing and
belong to a neighbour; (2) attention, from Q K^T through softmax to the product with V, is one kernel; (3) convolutions
and matrix products take the pointwise operators after them, the residual addition included, as long as sizes agree;
(4) reductions, softmax and normalisations over the same axes fuse with the pointwise operators around them; (5)
everything else is a kernel of its own. An operator never joins a group when that would make two groups wait for each
other.

TensorRT-RTX 1.7 lists, at FP16 on SM 8.9 and without its shape and cast kernels: 11 kernels for ResNet-8 (here 11), 52
for EfficientNet-Lite0 (51), 66 for MiniLM-L6 (66) and 13 for Magika (11). At FP32 it leaves attention in three kernels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from infc.ir.expression import AxisExpression
from infc.ir.model_profile import OperatorClass
from infc.resolve.onnx_analysis.attention import attention_cores
from infc.resolve.onnx_analysis.dataflow import Dataflow
from infc.resolve.onnx_analysis.graph import Graph, Node

Kind: TypeAlias = Literal["heavy", "row", "pointwise", "move", "alone"]

_HEAVY = frozenset(
    (
        OperatorClass.CONV,
        OperatorClass.GROUPED_CONV,
        OperatorClass.DEPTHWISE_CONV,
        OperatorClass.GEMM,
        OperatorClass.ATTENTION,
        OperatorClass.RECURRENT,
    )
)
_MOVES = frozenset(("Transpose", "Slice", "Tile", "ConstantOfShape", "Range", "Trilu", "OneHot", "EyeLike"))
_PREFERENCE: dict[Kind, int] = {"heavy": 0, "row": 1, "pointwise": 2, "move": 3, "alone": 4}


@dataclass(kw_only=True)
class _Group:
    kind: Kind
    body_of: str
    sizes: set[AxisExpression] = field(default_factory=set)
    row_axes: tuple[int, ...] | None = None
    ancestors: int = 0
    """A bit for every group that must run before this one."""


@dataclass(kw_only=True)
class _State:
    graph: Graph
    classes: Sequence[OperatorClass]
    flow: Dataflow
    groups: list[_Group] = field(default_factory=list)
    assigned: dict[int, int] = field(default_factory=dict)


def fuse(graph: Graph, classes: Sequence[OperatorClass], flow: Dataflow) -> tuple[int, ...]:
    """The group of every node of `graph` (node i is of class `classes[i]`), numbered by first appearance."""
    state = _State(graph=graph, classes=classes, flow=flow)
    cores = attention_cores(graph, classes, flow)
    core_group: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        if index in flow.free:
            continue
        if index in cores:
            group = core_group.get(cores[index])
            if group is None:
                group = core_group[cores[index]] = _new_group(state, "heavy", node)
        else:
            kind = kind_of(node, classes[index])
            group = _joinable(state, index, kind)
            group = _new_group(state, kind, node) if group is None else group
        _assign(state, index, group)
    for index in sorted(flow.free):
        state.assigned[index] = _neighbour(state, index)
    numbers: dict[int, int] = {}
    return tuple(numbers.setdefault(state.assigned[i], len(numbers)) for i in range(len(graph.nodes)))


def kind_of(node: Node, operator_class: OperatorClass) -> Kind:
    """How an operator takes part in fusion."""
    if operator_class in _HEAVY:
        return "heavy"
    if node.op_type in ("BatchNormalization", "Expand"):
        return "pointwise"
    if operator_class in (OperatorClass.NORMALIZATION, OperatorClass.SOFTMAX) or node.op_type.startswith("Reduce"):
        return "row"
    if operator_class in (OperatorClass.ELEMENTWISE, OperatorClass.EMBEDDING):
        return "pointwise"
    return "move" if node.op_type in _MOVES else "alone"


def _joinable(state: _State, index: int, kind: Kind) -> int | None:
    """The best group that an operator can join, among those that make its inputs."""
    if kind in ("heavy", "alone"):
        return None
    node = state.graph.nodes[index]
    makers = _input_groups(state, index)
    for group in sorted(makers, key=lambda g: (_PREFERENCE[state.groups[g].kind], -g)):
        if _fits(state.groups[group], node, kind) and not any(
            state.groups[other].ancestors >> group & 1 for other in makers if other != group
        ):
            return group
    return _sibling(state, node, makers) if kind == "row" else None


def _sibling(state: _State, node: Node, makers: Sequence[int]) -> int | None:
    """A group that reduces another result of the same kernel over the same axes: mean and mean square are one pass."""
    axes, size = row_axes(node), node.activations[0].elements if node.activations else None
    for group in range(len(state.groups) - 1, -1, -1):
        other = state.groups[group]
        if other.kind != "row" or other.row_axes != axes or size not in other.sizes or other.body_of != node.body_of:
            continue
        shares_maker = any(other.ancestors >> maker & 1 for maker in makers)
        if shares_maker and not any(state.groups[maker].ancestors >> group & 1 for maker in makers):
            return group
    return None


def _fits(group: _Group, node: Node, kind: Kind) -> bool:
    size = node.outputs[0].elements if node.outputs else None
    if group.body_of != node.body_of:
        return False
    match group.kind:
        case "heavy":
            return kind == "pointwise" and size in group.sizes
        case "row":
            if kind == "row":
                return group.row_axes == row_axes(node) and node.activations[0].elements in group.sizes
            return kind == "pointwise" and size in group.sizes
        case "pointwise" | "move":
            return True
        case "alone":
            return False


def row_axes(node: Node) -> tuple[int, ...] | None:
    """The axes that an operator reduces over, counted from the end (-1 is the last); None when that is unknown."""
    shape = node.shape(0)
    if shape is None:
        return None
    rank = len(shape)
    if node.op_type.startswith("Reduce"):
        numbers = node.inputs[1].numbers if len(node.inputs) > 1 and node.inputs[1] is not None else None
        axes = node.integers("axes") or (tuple(int(n) for n in numbers) if numbers is not None else tuple(range(rank)))
    elif node.op_type in ("InstanceNormalization", "GroupNormalization", "LRN", "MeanVarianceNormalization"):
        axes = tuple(range(2, rank))
    elif node.op_type == "LayerNormalization":
        first = node.integer("axis", -1)
        axes = tuple(range(first, 0)) if first < 0 else tuple(range(first, rank))
    else:
        axes = (node.integer("axis", -1),)
    return tuple(sorted(axis if axis < 0 else axis - rank for axis in axes))


def _new_group(state: _State, kind: Kind, node: Node) -> int:
    state.groups.append(_Group(kind=kind, body_of=node.body_of, row_axes=row_axes(node) if kind == "row" else None))
    return len(state.groups) - 1


def _assign(state: _State, index: int, group: int) -> None:
    node, target = state.graph.nodes[index], state.groups[group]
    kind = kind_of(node, state.classes[index])
    state.assigned[index] = group
    target.sizes.update(output.elements for output in node.outputs)
    if kind == "row":
        target.sizes.update(value.elements for value in node.activations[:1])
        if target.kind in ("pointwise", "move"):
            target.kind, target.row_axes = "row", row_axes(node)
    before = 0
    for maker in _input_groups(state, index):
        if maker != group:
            before |= state.groups[maker].ancestors | 1 << maker
    _add_ancestors(state, group, before)


def _add_ancestors(state: _State, group: int, before: int) -> None:
    """Everything that waits for `group` now also waits for what `group` waits for."""
    target = state.groups[group]
    if before | target.ancestors == target.ancestors:
        return
    target.ancestors |= before
    for other in state.groups:
        if other.ancestors >> group & 1:
            other.ancestors |= before


def _input_groups(state: _State, index: int) -> tuple[int, ...]:
    flow = state.flow
    makers = (flow.producer.get(key) for key in flow.inputs_of(state.graph.nodes[index]))
    return tuple(dict.fromkeys(state.assigned[maker] for maker in makers if maker in state.assigned))


def _neighbour(state: _State, index: int) -> int:
    """The group of a node that moves nothing: the reader's for dequantisation and transposes, the maker's for views."""
    flow, node = state.flow, state.graph.nodes[index]
    key = flow.root_of(node.outputs[0].key)
    maker = flow.producer.get(key)
    readers = [state.assigned[i] for i in flow.readers.get(key, ()) if i > index and i in state.assigned]
    if readers and (maker is None or node.op_type in ("DequantizeLinear", "Transpose")):
        return readers[0]
    if maker is not None:
        return state.assigned[maker]
    return _new_group(state, "alone", node)
