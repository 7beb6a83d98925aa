"""Operators that 16 bits would break whatever the data: what stays in FP32 by the graph's structure, and why."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from infc.lower import graph as g
from infc.lower.qdq import FP16_MAX

UNSAFE_OPS: Mapping[str, str] = {
    "NonMaxSuppression": "takes FP32 only",
    "RandomNormal": "makes FP32 only",
    "RandomUniform": "makes FP32 only",
    "RandomNormalLike": "makes the source's type",
    "RandomUniformLike": "makes the source's type",
    "Multinomial": "samples from FP32 probabilities",
    "CumSum": "accumulates rounding errors over its axis",
    "Range": "steps are lost in 16 bits",
    "EyeLike": "makes FP32 only",
}
FP16_UNSAFE_OPS: Mapping[str, str] = {
    "LpNormalization": "sums squares, which FP16 ends at 256 for",
    "MeanVarianceNormalization": "sums squares, which FP16 ends at 256 for",
    "ReduceL2": "sums squares, which FP16 ends at 256 for",
    "ReduceLogSumExp": "sums exponentials, which FP16 ends at 11 for",
    "ReduceSumSquare": "sums squares, which FP16 ends at 256 for",
}
VARIANCE = "variance of a normalisation: squares overflow FP16 from 256 on, and differences of sums cancel in 16 bits"
EXPONENTIAL = "exponentials that nothing bounds: FP16 ends at exp(11)"
_ARITHMETIC = frozenset(
    {"Abs", "Add", "Cast", "Clip", "Div", "Expand", "Max", "Mul", "Neg", "Pow", "Relu", "Reshape", "Squeeze", "Sub"}
    | {"Unsqueeze"}
)
_AFTER_EXP = frozenset({"Add", "Div", "Expand", "Log", "Reciprocal", "ReduceSum", "Reshape"})
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceSumSquare"})


def unsafe_operators(model: onnx.ModelProto, *, is_fp16: bool, has_peaks: bool) -> dict[str, str]:
    """Names of operators that stay FP32 whatever the data says, with the reason, in graph order.

    Exponentials are judged by their measured peaks where there are any (`has_peaks`).
    """
    found: dict[str, str] = {}
    made = g.producers(model.graph)
    readers = g.consumers(model.graph)
    weights = g.initializers(model.graph)
    for node in model.graph.node:
        reason = UNSAFE_OPS.get(node.op_type)
        if node.domain not in g.STANDARD_DOMAINS:
            reason = f"operator set {node.domain} is not ONNX's own"
        elif reason is None and is_fp16:
            reason = FP16_UNSAFE_OPS.get(node.op_type)
        if reason is not None:
            found[node.name] = reason
        if _is_root(node, weights):
            found |= dict.fromkeys(_variance(node, made, readers, weights), VARIANCE)
        if is_fp16 and not has_peaks and node.op_type == "Exp" and not _is_shifted(node, made):
            found |= dict.fromkeys(_after_exp(node, readers), EXPONENTIAL)
    return {node.name: found[node.name] for node in model.graph.node if node.name in found}


def _is_root(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    if node.op_type == "Sqrt":
        return True
    return node.op_type == "Pow" and abs(_constant(node, 1, weights)) == 0.5


def _is_square(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    if node.op_type == "Mul":
        return bool(node.input[0] == node.input[1])
    return node.op_type == "Pow" and _constant(node, 1, weights) == 2


def _constant(node: onnx.NodeProto, index: int, weights: Mapping[str, TensorProto]) -> float:
    """The one value of a constant input; 0 where it is none."""
    tensor = weights.get(node.input[index])
    if tensor is None or int(np.prod(tensor.dims)) != 1:
        return 0.0
    return float(g.array(tensor).astype(np.float64).sum())


def _variance(
    root: onnx.NodeProto,
    made: Mapping[str, onnx.NodeProto],
    readers: Mapping[str, list[onnx.NodeProto]],
    weights: Mapping[str, TensorProto],
) -> list[str]:
    """The operators between sums of squares and the root of them, both included; empty when it is another root."""
    before = {node.name: node for node in _before(root, made)}
    squares = [
        square.name
        for node in before.values()
        if node.op_type in _REDUCTIONS and (square := made.get(node.input[0])) and _is_square(square, weights)
    ]
    if not squares and not any(node.op_type == "ReduceSumSquare" for node in before.values()):
        return []
    inside: set[str] = set()
    for node in reversed(before.values()):
        sources = (made[name].name for name in node.input if name in made)
        if node.op_type in _REDUCTIONS or any(name in inside for name in sources):
            inside.add(node.name)
    after = [node.name for node in readers.get(root.output[0], []) if node.op_type == "Reciprocal"]
    return [*squares, *inside, root.name, *after]


def _before(root: onnx.NodeProto, made: Mapping[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """What a root is computed from by arithmetic, back to the sums it is made of; nearest first, sources last."""
    order = {id(node): index for index, node in enumerate(made.values())}
    found: dict[str, onnx.NodeProto] = {}
    pending = [root.input[0]]
    while pending:
        node = made.get(pending.pop())
        if node is None or node.name in found:
            continue
        if node.op_type in _REDUCTIONS:
            found[node.name] = node
        elif node.op_type in _ARITHMETIC:
            found[node.name] = node
            pending.extend(node.input)
    return sorted(found.values(), key=lambda node: order[id(node)], reverse=True)


def _is_shifted(node: onnx.NodeProto, made: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether an exponential's input has its largest value subtracted, so that no result is above 1."""
    before = made.get(node.input[0])
    if before is None or before.op_type != "Sub":
        return False
    subtracted = made.get(before.input[1])
    while subtracted is not None and subtracted.op_type in ("Expand", "Max", "Reshape", "Squeeze", "Unsqueeze"):
        subtracted = next((made[name] for name in subtracted.input if name in made), None)
    return subtracted is not None and subtracted.op_type == "ReduceMax"


def _after_exp(node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]]) -> list[str]:
    """An exponential and what sums and divides it."""
    found = [node.name]
    pending = [node]
    while pending:
        for reader in readers.get(pending.pop().output[0], []):
            if reader.op_type in _AFTER_EXP and reader.name not in found:
                found.append(reader.name)
                pending.append(reader)
    return found


def mask_thresholds(model: onnx.ModelProto) -> dict[str, float]:
    """Values that carry an attention mask on its way to a Softmax, with the magnitude from which a number is a mask.

    Masks are made of a constant that FP16 cannot hold (-1e9, -3.4e38) and mean "probability 0", so that saturating
    them changes nothing. Constants whose ways do not all end in a Softmax are numbers, and not listed.
    """
    types, readers = g.element_types(model), g.consumers(model.graph)
    thresholds: dict[str, float] = {}
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        magnitudes = np.abs(g.array(tensor)).ravel()
        large = magnitudes[(magnitudes > FP16_MAX) & np.isfinite(magnitudes)]
        if not large.size or np.any((magnitudes > 1) & (magnitudes <= FP16_MAX)):
            continue
        way = _way_to_softmax(tensor.name, types, readers, {})
        for name in way or ():
            thresholds[name] = min(thresholds.get(name, np.inf), float(large.min()) / 2)
    return thresholds


_MASK_OPS = frozenset(
    {"Add", "Cast", "Concat", "Expand", "Gather", "Identity", "Max", "Min", "Mul", "Reshape", "Slice", "Squeeze"}
    | {"Sub", "Transpose", "Unsqueeze", "Where"}
)


def _way_to_softmax(
    name: str,
    types: Mapping[str, int],
    readers: Mapping[str, list[onnx.NodeProto]],
    known: dict[str, frozenset[str] | None],
) -> frozenset[str] | None:
    """The values between a constant and the Softmax operators that read it; None when a way ends elsewhere."""
    if name in known:
        return known[name]
    known[name] = None
    way = {name}
    for reader in readers.get(name, []):
        if reader.op_type in ("Softmax", "LogSoftmax"):
            continue
        if reader.op_type not in _MASK_OPS:
            return None
        further = _way_to_softmax(reader.output[0], types, readers, known)
        if further is None:
            return None
        way |= further
    known[name] = frozenset(way) if readers.get(name) else None
    return known[name]
