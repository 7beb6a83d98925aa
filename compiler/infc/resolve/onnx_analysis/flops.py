"""FLOPs of one operator from its shapes: one row per operator type, 2 FLOPs per multiply-add.

Operators outside the table count as data movement, and the analysis says so. Elementwise functions count
`SPECIAL_FLOPS` where the hardware needs more than one instruction an element.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from infc.ir.expression import ONE, ZERO, AxisExpression
from infc.ir.model_profile import OperatorClass
from infc.resolve.onnx_analysis.graph import Node, Shape, elements

FlopRule: TypeAlias = Callable[[Node], AxisExpression]

SPECIAL_FLOPS = 4.0
"""FLOPs of an exponential, logarithm, root, error or trigonometric function of one element."""
SOFTMAX_FLOPS = 7.0
"""Maximum, subtraction, exponential (4), sum and division folded to one more: per element."""
NORMALIZATION_FLOPS = 8.0
"""Mean, centring, square, variance, scaling by the root, gain and bias: per element."""

MICROSOFT = "com.microsoft"


def rule_of(node: Node) -> tuple[OperatorClass, FlopRule] | None:
    """The class and FLOP rule of an operator, or None when the table does not know it."""
    if node.domain in ("", "ai.onnx"):
        rule = STANDARD.get(node.op_type)
    elif node.domain == MICROSOFT:
        rule = CONTRIB.get(node.op_type) or STANDARD.get(node.op_type)
    else:
        rule = STANDARD.get(node.op_type) if node.domain == "" else None
    if rule is not None and rule[0] is OperatorClass.CONV and is_depthwise(node):
        return OperatorClass.DEPTHWISE_CONV, rule[1]
    return rule


def is_depthwise(node: Node) -> bool:
    """Whether a convolution has one filter per channel: its weight has one input channel per group, and many groups."""
    weight = _weight_shape(node)
    group = node.integer("group", 1)
    if weight is None or group == 1 or len(weight) < 3:
        return False
    return (weight[0] if node.op_type == "ConvTranspose" else weight[1]).value == (
        group if node.op_type == "ConvTranspose" else 1.0
    )


def _weight_shape(node: Node) -> Shape | None:
    return node.shape(3 if node.op_type == "QLinearConv" else 1)


def _out(node: Node) -> AxisExpression:
    return node.outputs[0].elements if node.outputs else ZERO


def _input(node: Node, index: int = 0) -> AxisExpression:
    shape = node.shape(index)
    return elements(shape) if shape is not None else ZERO


def _conv(node: Node) -> AxisExpression:
    """Every output element is a dot product over the filter: output * (C_in/group * k...)."""
    weight = _weight_shape(node)
    if weight is None:
        return ZERO
    bias = _out(node) if _has(node, 8 if node.op_type == "QLinearConv" else 2) else ZERO
    return _out(node) * elements(weight[1:]) * 2.0 + bias


def _conv_transpose(node: Node) -> AxisExpression:
    """Every input element is spread over the filter: input * (C_out/group * k...)."""
    weight = node.shape(1)
    if weight is None:
        return ZERO
    return _input(node) * elements(weight[1:]) * 2.0 + (_out(node) if _has(node, 2) else ZERO)


def _deform_conv(node: Node) -> AxisExpression:
    """A convolution whose samples are interpolated from four neighbours (7 FLOPs for each sample of each group)."""
    weight, group = node.shape(1), node.integer("offset_group", 1)
    if weight is None:
        return ZERO
    sampled = elements(weight[1:]) * _out(node) * (1.0 / max(1.0, weight[0].value or 1.0)) * float(group)
    return _conv(node) + sampled * 7.0


def _gemm(node: Node) -> AxisExpression:
    """`alpha * A @ B + beta * C`: M * N * K multiply-adds; C is added once."""
    a = node.shape(0)
    if a is None or len(a) != 2:
        return ZERO
    inner = a[0] if node.integer("transA", 0) else a[1]
    return _out(node) * inner * 2.0 + (_out(node) if _has(node, 2) else ZERO)


def _matmul(node: Node) -> AxisExpression:
    """Batched matrix product: output elements times the inner size."""
    a = node.shape(0)
    return _out(node) * a[-1] * 2.0 if a else ZERO


def _matmul_n_bits(node: Node) -> AxisExpression:
    """com.microsoft MatMulNBits: activations [.., K] times a packed weight [N, K]."""
    bias = _out(node) if _has(node, 5) else ZERO
    return _out(node) * float(node.integer("K", 0)) * 2.0 + bias


def _gather_block_quantized(node: Node) -> AxisExpression:
    return _out(node) * 2.0


def _fused_matmul(node: Node) -> AxisExpression:
    a = node.shape(0)
    if not a or len(a) < 2:
        return ZERO
    inner = a[-2] if node.integer("transA", 0) else a[-1]
    return _out(node) * inner * 2.0


def _einsum(node: Node) -> AxisExpression:
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


def _recurrent(gates: int) -> FlopRule:
    """Cells of `gates` gates: input and recurrent products, and about 12 FLOPs of gating an element and gate."""

    def flops(node: Node) -> AxisExpression:
        x, weight, recurrence = node.shape(0), node.shape(1), node.shape(2)
        if x is None or weight is None or recurrence is None:
            return ZERO
        steps = x[0] * x[1] * weight[0]
        hidden = recurrence[-1]
        return steps * hidden * float(gates) * ((weight[-1] + hidden) * 2.0 + AxisExpression.constant(12.0))

    return flops


def _attention(node: Node) -> AxisExpression:
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


def _attention_block(node: Node) -> AxisExpression:
    """com.microsoft Attention: input [batch, seq, hidden] times a packed QKV weight, then attention."""
    x, weight = node.shape(0), node.shape(1)
    if x is None or weight is None:
        return ZERO
    rows, sequence, width = x[0] * x[1], x[1], weight[1]
    scores = rows * sequence
    heads = float(node.integer("num_heads", 1))
    return rows * x[2] * width * 2.0 + scores * width * (4.0 / 3.0) + scores * heads * SOFTMAX_FLOPS


def _multi_head_attention(node: Node) -> AxisExpression:
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


def _pool(node: Node) -> AxisExpression:
    kernel = 1.0
    for size in node.integers("kernel_shape") or ():
        kernel *= size
    return _out(node) * kernel


def _resize(node: Node) -> AxisExpression:
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


def _grid_sample(node: Node) -> AxisExpression:
    neighbours = {"nearest": 0.0, "cubic": 31.0, "bicubic": 31.0}.get(node.text("mode", "linear"), 7.0)
    return _out(node) * neighbours


def _variadic(node: Node) -> AxisExpression:
    """Sum, Max, Min, Mean: one FLOP for each input beyond the first."""
    return _out(node) * float(max(1, len(node.arguments) - 1))


def _dft(node: Node) -> AxisExpression:
    """A radix-2 FFT: 5 n log2 n; the length is taken as known when it is a number, else 1024."""
    shape = node.shape(0)
    length = 1024.0
    if shape is not None and len(shape) > 1:
        length = (
            shape[node.integer("axis", 1) if -len(shape) <= node.integer("axis", 1) < len(shape) else 1].value or 1024.0
        )
    return _out(node) * 2.5 * float(max(1, round(length).bit_length() - 1))


def _per_output(flops: float) -> FlopRule:
    return lambda node: _out(node) * flops


def _per_input(flops: float) -> FlopRule:
    return lambda node: _input(node) * flops


def _none(_: Node) -> AxisExpression:
    return ZERO


def _has(node: Node, index: int) -> bool:
    return index < len(node.inputs) and node.inputs[index] is not None


_C = OperatorClass


def _rows(operator_class: OperatorClass, rule: FlopRule, names: str) -> dict[str, tuple[OperatorClass, FlopRule]]:
    return dict.fromkeys(names.split(), (operator_class, rule))


STANDARD: Mapping[str, tuple[OperatorClass, FlopRule]] = {
    **_rows(_C.CONV, _conv, "Conv ConvInteger QLinearConv"),
    **_rows(_C.CONV, _conv_transpose, "ConvTranspose"),
    **_rows(_C.CONV, _deform_conv, "DeformConv"),
    **_rows(_C.GEMM, _gemm, "Gemm"),
    **_rows(_C.GEMM, _matmul, "MatMul MatMulInteger QLinearMatMul"),
    **_rows(_C.GEMM, _einsum, "Einsum"),
    **_rows(_C.ATTENTION, _attention, "Attention"),
    **_rows(_C.RECURRENT, _recurrent(4), "LSTM"),
    **_rows(_C.RECURRENT, _recurrent(3), "GRU"),
    **_rows(_C.RECURRENT, _recurrent(1), "RNN"),
    **_rows(_C.NORMALIZATION, _per_output(2.0), "BatchNormalization"),
    **_rows(
        _C.NORMALIZATION,
        _per_output(NORMALIZATION_FLOPS),
        "LayerNormalization InstanceNormalization GroupNormalization LRN MeanVarianceNormalization LpNormalization "
        "RMSNormalization SimplifiedLayerNormalization",
    ),
    **_rows(_C.SOFTMAX, _per_output(SOFTMAX_FLOPS), "Softmax LogSoftmax SoftmaxCrossEntropyLoss"),
    **_rows(
        _C.REDUCTION,
        _per_input(1.0),
        "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ArgMax ArgMin CumSum CumProd GlobalAveragePool "
        "GlobalMaxPool NonZero",
    ),
    **_rows(_C.REDUCTION, _per_input(2.0), "ReduceL2 ReduceSumSquare GlobalLpPool"),
    **_rows(_C.REDUCTION, _per_input(SPECIAL_FLOPS + 2.0), "ReduceLogSum ReduceLogSumExp Hardmax"),
    **_rows(_C.REDUCTION, _pool, "MaxPool AveragePool LpPool MaxRoiPool"),
    **_rows(
        _C.ELEMENTWISE,
        _per_output(1.0),
        "Add Sub Mul Div Neg Abs Relu Ceil Floor Round Sign Reciprocal And Or Xor Not Equal Greater Less "
        "GreaterOrEqual LessOrEqual Where BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Mod "
        "IsNaN IsInf ThresholdedRelu",
    ),
    **_rows(_C.ELEMENTWISE, _per_output(2.0), "Clip LeakyRelu PRelu HardSigmoid Shrink"),
    **_rows(_C.ELEMENTWISE, _per_output(4.0), "HardSwish"),
    **_rows(
        _C.ELEMENTWISE,
        _per_output(SPECIAL_FLOPS),
        "Exp Log Sqrt Pow Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Tanh Sigmoid Softplus Softsign "
        "Elu Selu Celu",
    ),
    **_rows(_C.ELEMENTWISE, _per_output(2.0 * SPECIAL_FLOPS), "Gelu Mish Swish"),
    **_rows(_C.ELEMENTWISE, _variadic, "Sum Max Min Mean"),
    **_rows(_C.ELEMENTWISE, _per_output(2.0), "QuantizeLinear DequantizeLinear DynamicQuantizeLinear RotaryEmbedding"),
    **_rows(_C.ELEMENTWISE, _none, "Cast CastLike BitCast"),
    **_rows(_C.EMBEDDING, _none, "Gather"),
    **_rows(
        _C.DATA_MOVEMENT,
        _none,
        "Reshape Squeeze Unsqueeze Flatten Identity Dropout Transpose Concat Split Slice Pad Expand Tile "
        "GatherElements GatherND Scatter ScatterElements ScatterND TensorScatter DepthToSpace SpaceToDepth "
        "Shape Size Constant "
        "ConstantOfShape Range OneHot EyeLike Trilu Compress ReverseSequence CenterCropPad Col2Im RandomNormal "
        "RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial Optional OptionalGetElement "
        "OptionalHasElement SequenceConstruct SequenceAt SequenceInsert SequenceErase SequenceEmpty SequenceLength "
        "SplitToSequence ConcatFromSequence",
    ),
    **_rows(_C.DATA_MOVEMENT, _resize, "Resize Upsample"),
    **_rows(_C.DATA_MOVEMENT, _grid_sample, "GridSample AffineGrid"),
    **_rows(_C.OTHER, _per_output(16.0), "RoiAlign"),
    **_rows(_C.OTHER, _per_input(8.0), "TopK Unique"),
    **_rows(_C.OTHER, _per_input(SPECIAL_FLOPS), "NonMaxSuppression Det"),
    **_rows(_C.OTHER, _dft, "DFT STFT"),
    **_rows(_C.OTHER, _none, "If Loop Scan SequenceMap HannWindow HammingWindow BlackmanWindow MelWeightMatrix"),
    **_rows(_C.OTHER, _per_output(1.0), "NegativeLogLikelihoodLoss"),
}

CONTRIB: Mapping[str, tuple[OperatorClass, FlopRule]] = {
    **_rows(_C.ATTENTION, _attention_block, "Attention QAttention PackedAttention"),
    **_rows(
        _C.ATTENTION, _multi_head_attention, "MultiHeadAttention GroupQueryAttention DecoderMaskedMultiHeadAttention"
    ),
    **_rows(_C.GEMM, _matmul_n_bits, "MatMulNBits MatMulBnb4 MatMulFpQ4"),
    **_rows(_C.GEMM, _fused_matmul, "FusedMatMul TransposeMatMul"),
    **_rows(_C.GEMM, _gemm, "FusedGemm GemmFastGelu GemmFloat8"),
    **_rows(_C.GEMM, _matmul, "MatMulIntegerToFloat DynamicQuantizeMatMul"),
    **_rows(_C.CONV, _conv, "FusedConv NhwcConv NhwcFusedConv QLinearConv"),
    **_rows(
        _C.NORMALIZATION,
        _per_output(NORMALIZATION_FLOPS + 1.0),
        "SkipLayerNormalization SkipSimplifiedLayerNormalization SkipGroupNorm GroupNorm",
    ),
    **_rows(_C.EMBEDDING, _per_output(NORMALIZATION_FLOPS + 2.0), "EmbedLayerNormalization"),
    **_rows(_C.EMBEDDING, _gather_block_quantized, "GatherBlockQuantized"),
    **_rows(
        _C.ELEMENTWISE, _per_output(2.0 * SPECIAL_FLOPS), "FastGelu BiasGelu QuickGelu BiasSplitGelu QLinearSigmoid"
    ),
    **_rows(
        _C.ELEMENTWISE,
        _per_output(3.0),
        "QLinearAdd QLinearMul QLinearLeakyRelu BiasAdd BiasDropout RotaryEmbedding",
    ),
    **_rows(_C.SOFTMAX, _per_output(SOFTMAX_FLOPS + 1.0), "QLinearSoftmax BiasSoftmax"),
    **_rows(_C.REDUCTION, _per_input(2.0), "QLinearGlobalAveragePool QLinearAveragePool QLinearReduceMean"),
    **_rows(_C.DATA_MOVEMENT, _none, "QLinearConcat RemovePadding RestorePadding NhwcMaxPool"),
}
