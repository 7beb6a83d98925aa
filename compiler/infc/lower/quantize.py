"""INT8 as explicit Q/DQ nodes, scales from calibration data, through onnxruntime.quantization."""

import contextlib
import io
from collections.abc import Iterator, Mapping

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.lower import graph as g
from infc.lower.arrays import Calibration
from infc.lower.passes import PassContext
from infc.lower.settings import CalibrationMethod as Method
from infc.lower.settings import Dialect

BATCH = 8
HISTOGRAM_BYTES = 2 * 2**30
# fmt: off
CNN_OPS = (
    "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "Relu", "Reshape", "Squeeze",
    "Transpose", "Unsqueeze",
)
# fmt: on
_METHODS: Mapping[Method, CalibrationMethod] = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime.quantization is untyped
    """Feeds calibration data in batches of the same size."""

    def __init__(self, calibration: Calibration, batch_size: int, samples: int) -> None:
        self._batches = self._iterate(calibration, batch_size, samples)

    def get_next(self) -> dict[str, g.Array] | None:
        """The next batch; None at the end."""
        return next(self._batches, None)

    @staticmethod
    def _iterate(calibration: Calibration, batch_size: int, samples: int) -> Iterator[dict[str, g.Array]]:
        for start in range(0, samples - batch_size + 1, batch_size):
            yield {name: values[start : start + batch_size] for name, values in calibration.inputs.items()}


def quantize(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Insert Q/DQ nodes: per-channel int8 weights, per-tensor activations with ranges from the calibration data.

    For TensorRT: symmetric int8 on the inputs of Conv, ConvTranspose, Gemm and MatMul only, no quantised bias. For
    ONNX Runtime's CPU kernels: uint8 activations on every operator that has an integer kernel, weights in 7 bits,
    because 8-bit products saturate on x86 without VNNI and the same file must answer alike everywhere.
    Source: TensorRT's Q/DQ placement rules; onnxruntime.quantization's advice for CPUs without VNNI.
    """
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return model, PassReport(name="quantize", changed=0, notes=("already quantised",))
    calibration = context.calibration
    if calibration is None or calibration.samples < 1:
        return _without_data(context)
    op_types = _op_types(model, context.settings.dialect)
    targets = [node for node in model.graph.node if node.op_type in op_types]
    excluded = _excluded(model, context, op_types)
    batch_size = context.profile.fixed_batch or min(BATCH, calibration.samples)
    samples = _affordable_samples(model, context, calibration)
    samples = max(batch_size, samples - samples % batch_size)
    if samples > calibration.samples:
        return _without_data(context)
    source, target = context.scratch / "float.onnx", context.scratch / "qdq.onnx"
    onnx.save(_marked(model), source)
    with contextlib.redirect_stdout(io.StringIO()):  # onnxruntime 1.31 prints histogram statistics
        quantize_static(
            source,
            target,
            _Batches(calibration, batch_size, samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(op_types),
            per_channel=True,
            calibrate_method=_METHODS[context.settings.calibration_method],
            nodes_to_exclude=sorted(excluded),
            weight_type=QuantType.QInt8,
            **_dialect_options(context.settings.dialect, op_types),
        )
    result = onnx.load(target)
    result.producer_name, result.producer_version = "", ""
    del result.metadata_props[:]
    notes = [f"calibrated on {samples} samples ({context.settings.calibration_method})"]
    notes += [f"{name} keeps its precision: {reason}" for name, reason in sorted(excluded.items()) if reason]
    report = PassReport(name="quantize", changed=len(targets) - len(excluded), notes=tuple(notes))
    return g.without_stale_types(result), report


def _without_data(context: PassContext) -> Diagnostic:
    return Diagnostic(
        id="calibration-missing",
        message=f"INT8 needs calibration data for {context.profile.name}",
        help="set accuracy.dataset (its first samples calibrate) or quantization.calibration to an .npz file",
    )


def _dialect_options(dialect: Dialect, op_types: tuple[str, ...]) -> dict[str, object]:
    """Options for who reads the Q/DQ nodes.

    Quantised outputs cost accuracy and only gain speed where integer kernels follow each other: in a CNN on the CPU.
    """
    is_chained = dialect == "onnxruntime" and len(op_types) > len(g.WEIGHTED_OPS)
    options: dict[str, object] = {"WeightSymmetric": True}
    if not is_chained:
        options["OpTypesToExcludeOutputQuantization"] = list(op_types)
    if dialect == "tensorrt":
        options |= {"ActivationSymmetric": True, "QuantizeBias": False}
        return {"activation_type": QuantType.QInt8, "extra_options": options}
    options |= {"ActivationSymmetric": False, "QuantizeBias": is_chained}
    return {"activation_type": QuantType.QUInt8, "reduce_range": True, "extra_options": options}


def _op_types(model: onnx.ModelProto, dialect: Dialect) -> tuple[str, ...]:
    """The operator types to quantise: the weighted ones; on the CPU also what stands between convolutions."""
    is_cnn = any(node.op_type == "Conv" for node in model.graph.node)
    return (*g.WEIGHTED_OPS, *CNN_OPS) if dialect == "onnxruntime" and is_cnn else g.WEIGHTED_OPS


def _excluded(model: onnx.ModelProto, context: PassContext, op_types: tuple[str, ...]) -> dict[str, str]:
    """Nodes that get no Q/DQ although their type would, with the reason (empty for shape arithmetic)."""
    excluded = {}
    weights = g.initializers(model.graph)
    types = g.element_types(model)
    chained: set[str] = set()
    for node in model.graph.node:
        is_product = node.op_type == "MatMul" and not any(name in weights for name in node.input)
        if is_product and not context.settings.is_attention_quantized:
            excluded[node.name] = "product of two activations (attention)"
        elif node.op_type in CNN_OPS and node.op_type in op_types:
            if types.get(node.output[0]) != onnx.TensorProto.FLOAT:
                excluded[node.name] = ""
                continue
            if not _is_between_convolutions(node, chained, types):
                excluded[node.name] = "not between convolutions"
                continue
        if node.op_type in op_types and node.op_type not in ("Gemm", "MatMul"):
            chained.update(node.output)
    return excluded


def _is_between_convolutions(node: onnx.NodeProto, chained: set[str], types: Mapping[str, int]) -> bool:
    """Whether every float operand that decides the range comes from a convolution, directly or through such operators.

    Arithmetic with constants and on other values (a normalisation, an activation function in pieces) loses too much
    in 8 bits.
    """
    bounds = 1 if node.op_type == "Clip" else len(node.input)
    operands = [name for name in node.input[:bounds] if types.get(name) == onnx.TensorProto.FLOAT]
    return all(name in chained for name in operands)


def _affordable_samples(model: onnx.ModelProto, context: PassContext, calibration: Calibration) -> int:
    """How many samples fit: histogram methods hold every activation of every sample in memory (onnxruntime 1.31)."""
    if context.settings.calibration_method == "minmax":
        return calibration.samples
    axes = _axes_of_sample(context, calibration)
    elements = sum(operator.output_elements.at(axes) for operator in context.profile.operators)
    return max(1, min(calibration.samples, int(HISTOGRAM_BYTES // max(1.0, 4 * elements))))


def _axes_of_sample(context: PassContext, calibration: Calibration) -> dict[str, int]:
    axes = {context.profile.batch_axis: 1} if context.profile.batch_axis else {}
    for spec in context.profile.inputs:
        sizes = calibration.inputs[spec.name].shape
        axes |= {d: n for d, n in zip(spec.shape[1:], sizes[1:], strict=True) if isinstance(d, str)}
    return axes


def _marked(model: onnx.ModelProto) -> onnx.ModelProto:
    """Say that the model was prepared, or onnxruntime.quantization logs advice on every call."""
    copy = g.copy(model)
    entry = copy.metadata_props.add()
    entry.key, entry.value = "onnx.quant.pre_process", "onnxruntime.quant"
    return copy
