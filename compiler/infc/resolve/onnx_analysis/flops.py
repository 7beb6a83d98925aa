"""FLOPs of one operator from its shapes: one row per operator type, 2 FLOPs per multiply-add.

Operators outside the table count as data movement, and the analysis says so. Elementwise functions count
`SPECIAL_FLOPS` where the hardware needs more than one instruction an element.
"""

from collections.abc import Mapping

from infc.ir.model_profile import OperatorClass
from infc.resolve.onnx_analysis import flop_rules as rules
from infc.resolve.onnx_analysis.flop_rules import NORMALIZATION_FLOPS, SOFTMAX_FLOPS, SPECIAL_FLOPS, FlopRule
from infc.resolve.onnx_analysis.graph import Node

MICROSOFT = "com.microsoft"


def rule_of(node: Node) -> tuple[OperatorClass, FlopRule] | None:
    """The class and FLOP rule of an operator, or None when the table does not know it."""
    rule = None
    if node.domain == MICROSOFT:
        rule = CONTRIB.get(node.op_type)
    if node.domain in ("", "ai.onnx", MICROSOFT):
        rule = rule or STANDARD.get(node.op_type)
    if rule is not None and rule[0] is OperatorClass.CONV and is_depthwise(node):
        return OperatorClass.DEPTHWISE_CONV, rule[1]
    if rule is not None and rule[0] is OperatorClass.CONV and node.integer("group", 1) > 1:
        return OperatorClass.GROUPED_CONV, rule[1]
    return rule


def is_depthwise(node: Node) -> bool:
    """Whether a convolution (plain or transposed) has one filter per channel: [channels, 1, k...] and many groups."""
    weight = rules.weight_shape(node)
    return weight is not None and len(weight) > 2 and node.integer("group", 1) > 1 and weight[1].value == 1.0


_C = OperatorClass


def _rows(operator_class: OperatorClass, rule: FlopRule, names: str) -> dict[str, tuple[OperatorClass, FlopRule]]:
    return dict.fromkeys(names.split(), (operator_class, rule))


STANDARD: Mapping[str, tuple[OperatorClass, FlopRule]] = {
    **_rows(_C.CONV, rules.conv_flops, "Conv ConvInteger QLinearConv"),
    **_rows(_C.CONV, rules.conv_transpose_flops, "ConvTranspose"),
    **_rows(_C.CONV, rules.deform_conv_flops, "DeformConv"),
    **_rows(_C.GEMM, rules.gemm_flops, "Gemm"),
    **_rows(_C.GEMM, rules.matmul_flops, "MatMul MatMulInteger QLinearMatMul"),
    **_rows(_C.GEMM, rules.einsum_flops, "Einsum"),
    **_rows(_C.ATTENTION, rules.attention_flops, "Attention"),
    **_rows(_C.ATTENTION, rules.linear_attention_flops, "LinearAttention"),
    **_rows(_C.DEPTHWISE_CONV, rules.conv_flops, "CausalConvWithState"),
    **_rows(_C.RECURRENT, rules.recurrent_flops(4), "LSTM"),
    **_rows(_C.RECURRENT, rules.recurrent_flops(3), "GRU"),
    **_rows(_C.RECURRENT, rules.recurrent_flops(1), "RNN"),
    **_rows(_C.NORMALIZATION, rules.per_output(2.0), "BatchNormalization"),
    **_rows(
        _C.NORMALIZATION,
        rules.per_output(NORMALIZATION_FLOPS),
        "LayerNormalization InstanceNormalization GroupNormalization LRN MeanVarianceNormalization LpNormalization "
        "RMSNormalization SimplifiedLayerNormalization",
    ),
    **_rows(_C.SOFTMAX, rules.per_output(SOFTMAX_FLOPS), "Softmax LogSoftmax SoftmaxCrossEntropyLoss"),
    **_rows(
        _C.REDUCTION,
        rules.per_input(1.0),
        "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ArgMax ArgMin CumSum CumProd GlobalAveragePool "
        "GlobalMaxPool NonZero",
    ),
    **_rows(_C.REDUCTION, rules.per_input(2.0), "ReduceL2 ReduceSumSquare GlobalLpPool"),
    **_rows(_C.REDUCTION, rules.per_input(SPECIAL_FLOPS + 2.0), "ReduceLogSum ReduceLogSumExp Hardmax"),
    **_rows(_C.REDUCTION, rules.per_input(4.0), "DynamicQuantizeLinear"),
    **_rows(_C.REDUCTION, rules.pool_flops, "MaxPool AveragePool LpPool MaxRoiPool"),
    **_rows(
        _C.ELEMENTWISE,
        rules.per_output(1.0),
        "Add Sub Mul Div Neg Abs Relu Ceil Floor Round Sign Reciprocal And Or Xor Not Equal Greater Less "
        "GreaterOrEqual LessOrEqual Where BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Mod "
        "IsNaN IsInf ThresholdedRelu",
    ),
    **_rows(_C.ELEMENTWISE, rules.per_output(2.0), "Clip LeakyRelu PRelu HardSigmoid Shrink"),
    **_rows(_C.ELEMENTWISE, rules.per_output(4.0), "HardSwish"),
    **_rows(
        _C.ELEMENTWISE,
        rules.per_output(SPECIAL_FLOPS),
        "Exp Log Sqrt Pow Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Tanh Sigmoid Softplus Softsign "
        "Elu Selu Celu",
    ),
    **_rows(_C.ELEMENTWISE, rules.per_output(2.0 * SPECIAL_FLOPS), "Gelu Mish Swish SwiGLU"),
    **_rows(_C.ELEMENTWISE, rules.variadic_flops, "Sum Max Min Mean"),
    **_rows(_C.ELEMENTWISE, rules.per_output(2.0), "QuantizeLinear DequantizeLinear RotaryEmbedding"),
    **_rows(_C.ELEMENTWISE, rules.no_flops, "Cast CastLike BitCast"),
    **_rows(_C.EMBEDDING, rules.no_flops, "Gather"),
    **_rows(
        _C.DATA_MOVEMENT,
        rules.no_flops,
        "Reshape Squeeze Unsqueeze Flatten Identity Dropout Transpose Concat Split Slice Pad Expand Tile "
        "GatherElements GatherND Scatter ScatterElements ScatterND TensorScatter DepthToSpace SpaceToDepth "
        "Shape Size Constant "
        "ConstantOfShape Range OneHot EyeLike Trilu Compress ReverseSequence CenterCropPad Col2Im RandomNormal "
        "RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial Optional OptionalGetElement "
        "OptionalHasElement SequenceConstruct SequenceAt SequenceInsert SequenceErase SequenceEmpty SequenceLength "
        "SplitToSequence ConcatFromSequence MaxUnpool StringConcat StringSplit "
        "StringNormalizer RegexFullMatch TfIdfVectorizer ImageDecoder",
    ),
    **_rows(_C.DATA_MOVEMENT, rules.resize_flops, "Resize Upsample"),
    **_rows(_C.DATA_MOVEMENT, rules.grid_sample_flops, "GridSample AffineGrid"),
    **_rows(_C.OTHER, rules.per_output(16.0), "RoiAlign"),
    **_rows(_C.OTHER, rules.per_input(8.0), "TopK Unique"),
    **_rows(_C.OTHER, rules.per_input(SPECIAL_FLOPS), "NonMaxSuppression Det"),
    **_rows(_C.OTHER, rules.dft_flops, "DFT STFT"),
    **_rows(
        _C.OTHER, rules.no_flops, "If Loop Scan SequenceMap HannWindow HammingWindow BlackmanWindow MelWeightMatrix"
    ),
    **_rows(_C.OTHER, rules.per_output(1.0), "NegativeLogLikelihoodLoss"),
}

CONTRIB: Mapping[str, tuple[OperatorClass, FlopRule]] = {
    **_rows(_C.ATTENTION, rules.attention_block_flops, "Attention QAttention PackedAttention"),
    **_rows(
        _C.ATTENTION,
        rules.multi_head_attention_flops,
        "MultiHeadAttention GroupQueryAttention DecoderMaskedMultiHeadAttention",
    ),
    **_rows(_C.GEMM, rules.matmul_n_bits_flops, "MatMulNBits MatMulBnb4 MatMulFpQ4"),
    **_rows(_C.GEMM, rules.fused_matmul_flops, "FusedMatMul TransposeMatMul"),
    **_rows(_C.GEMM, rules.quantised_gemm_flops, "QGemm"),
    **_rows(_C.GEMM, rules.gemm_flops, "FusedGemm GemmFastGelu GemmFloat8"),
    **_rows(_C.GEMM, rules.matmul_flops, "MatMulIntegerToFloat DynamicQuantizeMatMul"),
    **_rows(_C.CONV, rules.conv_flops, "FusedConv NhwcConv NhwcFusedConv QLinearConv"),
    **_rows(
        _C.NORMALIZATION,
        rules.per_output(NORMALIZATION_FLOPS + 1.0),
        "SkipLayerNormalization SkipSimplifiedLayerNormalization SkipGroupNorm GroupNorm",
    ),
    **_rows(_C.EMBEDDING, rules.per_output(NORMALIZATION_FLOPS + 2.0), "EmbedLayerNormalization"),
    **_rows(_C.EMBEDDING, rules.gather_block_quantized_flops, "GatherBlockQuantized"),
    **_rows(
        _C.ELEMENTWISE,
        rules.per_output(2.0 * SPECIAL_FLOPS),
        "FastGelu BiasGelu QuickGelu BiasSplitGelu QLinearSigmoid",
    ),
    **_rows(
        _C.ELEMENTWISE,
        rules.per_output(3.0),
        "QLinearAdd QLinearMul QLinearLeakyRelu BiasAdd BiasDropout RotaryEmbedding",
    ),
    **_rows(_C.SOFTMAX, rules.per_output(SOFTMAX_FLOPS + 1.0), "QLinearSoftmax BiasSoftmax"),
    **_rows(_C.REDUCTION, rules.per_input(2.0), "QLinearGlobalAveragePool QLinearAveragePool QLinearReduceMean"),
    **_rows(_C.DATA_MOVEMENT, rules.no_flops, "QLinearConcat RemovePadding RestorePadding NhwcMaxPool"),
}
