"""FLOP formulas, 2 FLOPs per multiply-add. Each takes a node and gives its FLOPs; 0 where a needed size is unknown."""

from collections.abc import Callable
from typing import TypeAlias

from infc.ir.expression import ONE, ZERO, AxisExpression
from infc.resolve.onnx_analysis.graph import Node, Shape, elements

FlopRule: TypeAlias = Callable[[Node], AxisExpression]

SPECIAL_FLOPS = 4.0
"""FLOPs of an exponential, logarithm, root, error or trigonometric function of one element."""
SOFTMAX_FLOPS = 7.0
"""Maximum, subtraction, exponential (4), sum and division folded to one more: per element."""
NORMALIZATION_FLOPS = 8.0
"""Mean, centring, square, variance, scaling by the root, gain and bias: per element."""


def weight_shape(node: Node) -> Shape | None:
    """The shape of a convolution's filters."""
    return node.shape(3 if node.op_type == "QLinearConv" else 1)


def _out(node: Node) -> AxisExpression:
    return node.outputs[0].elements if node.outputs else ZERO


def _input(node: Node, index: int = 0) -> AxisExpression:
    shape = node.shape(index)
    return elements(shape) if shape is not None else ZERO


def conv_flops(node: Node) -> AxisExpression:
    """Every output element is a dot product over the filter: output * (C_in/group * k...)."""
    weight = weight_shape(node)
    if weight is None:
        return ZERO
    bias_index = {"QLinearConv": 8, "ConvInteger": len(node.inputs)}.get(node.op_type, 2)
    return _out(node) * elements(weight[1:]) * 2.0 + (_out(node) if _has(node, bias_index) else ZERO)


def conv_transpose_flops(node: Node) -> AxisExpression:
    """Every input element is spread over the filter: input * (C_out/group * k...)."""
    weight = node.shape(1)
    if weight is None:
        return ZERO
    return _input(node) * elements(weight[1:]) * 2.0 + (_out(node) if _has(node, 2) else ZERO)


def deform_conv_flops(node: Node) -> AxisExpression:
    """A convolution whose samples are interpolated from four neighbours (7 FLOPs for each sample of each group)."""
    weight, group = node.shape(1), node.integer("offset_group", 1)
    if weight is None:
        return ZERO
    sampled = elements(weight[1:]) * _out(node) * (1.0 / max(1.0, weight[0].value or 1.0)) * float(group)
    return conv_flops(node) + sampled * 7.0


def gemm_flops(node: Node) -> AxisExpression:
    """`alpha * A @ B + beta * C`: M * N * K multiply-adds; C is added once."""
    a = node.shape(0)
    if a is None or len(a) != 2:
        return ZERO
    inner = a[0] if node.integer("transA", 0) else a[1]
    return _out(node) * inner * 2.0 + (_out(node) if _has(node, 2) else ZERO)


def quantised_gemm_flops(node: Node) -> AxisExpression:
    """com.microsoft QGemm: A, its scale and zero point, B, its scale and zero point, C."""
    a = node.shape(0)
    if a is None or len(a) != 2:
        return ZERO
    inner = a[0] if node.integer("transA", 0) else a[1]
    return _out(node) * inner * 2.0 + (_out(node) if _has(node, 6) else ZERO)


def matmul_flops(node: Node) -> AxisExpression:
    """Batched matrix product: output elements times the inner size."""
    a = node.shape(0)
    return _out(node) * a[-1] * 2.0 if a else ZERO


def matmul_n_bits_flops(node: Node) -> AxisExpression:
    """com.microsoft MatMulNBits: activations [.., K] times a packed weight [N, K]."""
    bias = _out(node) if _has(node, 5) else ZERO
    return _out(node) * float(node.integer("K", 0)) * 2.0 + bias


def gather_block_quantized_flops(node: Node) -> AxisExpression:
    """com.microsoft GatherBlockQuantized: zero point and scale for each gathered element."""
    return _out(node) * 2.0


def fused_matmul_flops(node: Node) -> AxisExpression:
    """com.microsoft FusedMatMul: a product that may read its first operand transposed."""
    a = node.shape(0)
    if not a or len(a) < 2:
        return ZERO
    inner = a[-2] if node.integer("transA", 0) else a[-1]
    return _out(node) * inner * 2.0


def einsum_flops(node: Node) -> AxisExpression:
    """One multiply-add per combination of all labels; a single operand only moves or adds."""
    equation = node.text("equation", "").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    sizes: dict[str, AxisExpression] = {}
    for index, term in enumerate(terms):
        shape = node.shape(index)
        if shape is None:
            return ZERO
        sizes.update(_label_sizes(term, shape))
    factor = 2.0 * (len(terms) - 1) if len(terms) > 1 else 1.0
    return elements(tuple(sizes.values())) * factor


def _label_sizes(term: str, shape: Shape) -> dict[str, AxisExpression]:
    """Sizes by einsum label; the dimensions under an ellipsis get labels counted from the right."""
    head, dots, tail = term.partition("...")
    sizes = dict(zip(head, shape, strict=False))
    if dots:
        covered = shape[len(head) : len(shape) - len(tail)]
        sizes.update({f".{len(covered) - i}": size for i, size in enumerate(covered)})
        sizes.update(zip(tail, shape[len(shape) - len(tail) :], strict=False))
    return sizes


def recurrent_flops(gates: int) -> FlopRule:
    """Cells of `gates` gates: input and recurrent products, and about 12 FLOPs of gating an element and gate."""

    def flops(node: Node) -> AxisExpression:
        x, weight, recurrence = node.shape(0), node.shape(1), node.shape(2)
        if x is None or weight is None or recurrence is None:
            return ZERO
        steps = x[0] * x[1] * weight[0]
        hidden = recurrence[-1]
        return steps * hidden * float(gates) * ((weight[-1] + hidden) * 2.0 + AxisExpression.constant(12.0))

    return flops


def attention_flops(node: Node) -> AxisExpression:
    """ONNX Attention (opset 23): `softmax(Q K^T) V` over [batch, heads, seq, size] or [batch, seq, heads * size]."""
    q, k, v = node.shape(0), node.shape(1), node.shape(2)
    if q is None or k is None or v is None:
        return ZERO
    past = node.shape(4)
    keys = k[-2] + (past[-2] if past is not None else ZERO)
    if len(q) == 4:
        rows, size_qk, size_v, heads = q[0] * q[1] * q[2], q[3], v[3], ONE
    else:
        q_heads, kv_heads = node.integer("q_num_heads", 1), node.integer("kv_num_heads", 1)
        rows, size_qk, heads = q[0] * q[1], q[2], AxisExpression.constant(q_heads)
        size_v = v[2] * (q_heads / kv_heads)
    return rows * keys * (size_qk + size_v) * 2.0 + rows * keys * heads * SOFTMAX_FLOPS


def linear_attention_flops(node: Node) -> AxisExpression:
    """ONNX LinearAttention (opset 27): a token updates a state of d_k * d_v for each KV head, each query head reads it.

    The delta rules read the state once more before they write it; the gated ones scale it.
    """
    q, v = node.shape(0), node.shape(2)
    q_heads, kv_heads = node.integer("q_num_heads", 1), node.integer("kv_num_heads", 1)
    if q is None or v is None or len(q) != 3 or min(q_heads, kv_heads) < 1:
        return ZERO
    per_write = {"linear": 2.0, "gated": 3.0, "delta": 4.0}.get(node.text("update_rule", "gated_delta"), 5.0)
    states = q[0] * q[1] * q[2] * v[2]
    return states * (per_write / q_heads) + states * (2.0 / kv_heads)


def attention_block_flops(node: Node) -> AxisExpression:
    """com.microsoft Attention: input [batch, seq, hidden] times a packed QKV weight, then attention."""
    x, weight = node.shape(0), node.shape(1)
    if x is None or weight is None:
        return ZERO
    rows, sequence, width = x[0] * x[1], x[1], weight[1]
    scores = rows * sequence
    heads = float(node.integer("num_heads", 1))
    return rows * x[2] * width * 2.0 + scores * width * (4.0 / 3.0) + scores * heads * SOFTMAX_FLOPS


def multi_head_attention_flops(node: Node) -> AxisExpression:
    """com.microsoft MultiHeadAttention and GroupQueryAttention: Q [batch, seq, hidden], K [batch, keys, hidden_kv]."""
    q, k = node.shape(0), node.shape(1)
    if q is None:
        return ZERO
    keys = k[1] if k is not None and len(k) == 3 else (k[2] if k is not None and len(k) == 4 else q[1])
    rows, width = q[0] * q[1], elements(q[2:])
    if k is None and node.op_type == "MultiHeadAttention":  # packed QKV: [batch, seq, heads, 3, size]
        width = width * (1.0 / 3.0)
    heads = float(node.integer("num_heads", 1))
    return rows * keys * width * 4.0 + rows * keys * heads * SOFTMAX_FLOPS


def pool_flops(node: Node) -> AxisExpression:
    """One FLOP for each element under the kernel."""
    kernel = 1.0
    for size in node.integers("kernel_shape") or ():
        kernel *= size
    return _out(node) * kernel


def resize_flops(node: Node) -> AxisExpression:
    """Interpolation: nearest moves elements, linear blends 2 neighbours a dimension, cubic 4."""
    shape = node.outputs[0].shape if node.outputs else None
    spatial = max(1, len(shape) - 2) if shape is not None else 2
    match node.text("mode", "nearest"):
        case "linear":
            return _out(node) * float(2 * 2**spatial - 1)
        case "cubic":
            return _out(node) * float(2 * 4**spatial - 1)
        case _:
            return ZERO


def grid_sample_flops(node: Node) -> AxisExpression:
    """Blending of 4 neighbours (16 for cubic) at each sampled point."""
    neighbours = {"nearest": 0.0, "cubic": 31.0, "bicubic": 31.0}.get(node.text("mode", "linear"), 7.0)
    return _out(node) * neighbours


def variadic_flops(node: Node) -> AxisExpression:
    """Sum, Max, Min, Mean: one FLOP for each input beyond the first."""
    return _out(node) * float(max(1, len(node.arguments) - 1))


def dft_flops(node: Node) -> AxisExpression:
    """A radix-2 FFT: 5 n log2 n; the length is taken as known when it is a number, else 1024."""
    shape = node.shape(0)
    length = 1024.0
    if shape is not None and len(shape) > 1:
        length = (
            shape[node.integer("axis", 1) if -len(shape) <= node.integer("axis", 1) < len(shape) else 1].value or 1024.0
        )
    return _out(node) * 2.5 * float(max(1, round(length).bit_length() - 1))


def per_output(flops: float) -> FlopRule:
    """A rule of so many FLOPs for each element of the first output."""
    return lambda node: _out(node) * flops


def per_input(flops: float) -> FlopRule:
    """A rule of so many FLOPs for each element of the first input."""
    return lambda node: _input(node) * flops


def no_flops(_: Node) -> AxisExpression:
    """The rule of operators that only move data."""
    return ZERO


def _has(node: Node, index: int) -> bool:
    return index < len(node.inputs) and node.inputs[index] is not None
