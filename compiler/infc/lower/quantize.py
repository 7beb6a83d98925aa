"""INT8, FP8 and INT4 as explicit Q/DQ nodes, ranges from calibration data."""

from dataclasses import replace

import onnx
from onnx import TensorProto

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower import qdq
from infc.lower.calibrate import activation_ranges
from infc.lower.cpu_qdq import insert_for_cpu
from infc.lower.passes import PassContext
from infc.lower.placement import Placement, candidates, place


def quantize(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Insert Q/DQ nodes where `placement.place` says.

    For TensorRT: symmetric INT8 or FP8 on the inputs of Conv, ConvTranspose, Gemm and MatMul, or INT4 in blocks on the
    weights of Gemm and MatMul alone; no quantised bias. For ONNX Runtime's CPU kernels INT8 is placed by
    onnxruntime.quantization, whose integer kernels want other types. INT4 is rounded to the nearest and needs no data.
    """
    if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return model, PassReport(name="quantize", changed=0, notes=("already quantised",))
    precision, settings, calibration = context.precision, context.settings, context.calibration
    placement = place(model, precision, settings)
    if not placement.chosen:
        return _nothing(context, placement)
    is_half = settings.remainder is Precision.FP16
    if precision is Precision.INT4:
        result = qdq.insert(model, placement.chosen, {}, precision, is_half=is_half)
        return result, _report(placement, "weights rounded to the nearest of 15 levels per block, no calibration")
    fixed = context.profile.fixed_batch
    samples = calibration.samples if calibration else 0
    samples -= samples % (fixed or 1)
    if calibration is None or samples < 1:
        return _without_data(context)
    is_cpu = precision is Precision.INT8 and settings.dialect == "onnxruntime"
    ranges = activation_ranges(
        model,
        _calibrated(model, context, with_outputs=is_cpu),
        calibration,
        settings.calibration_method,
        fixed_batch=fixed,
        cache=context.ranges,
    )
    if is_cpu:
        op_types = candidates(model, precision, settings)
        result = insert_for_cpu(model, placement, ranges, op_types, settings.kept)
    else:
        result = qdq.insert(model, placement.chosen, ranges, precision, is_half=is_half)
    return result, _report(placement, f"calibrated on {samples} samples ({settings.calibration_method})")


def _calibrated(model: onnx.ModelProto, context: PassContext, *, with_outputs: bool) -> list[str]:
    """The activations whose ranges any choice of exceptions could need, so that a search calibrates once."""
    settings = replace(context.settings, kept=(), is_attention_quantized=True)
    possible = set(place(model, context.precision, settings).chosen)
    types, weights = g.element_types(model), g.initializers(model.graph)
    names = []
    for node in model.graph.node:
        if node.name in possible:
            names += node.input if with_outputs else node.input[:2]
            names += node.output if with_outputs else []
    return [name for name in dict.fromkeys(names) if types.get(name) == TensorProto.FLOAT and name not in weights]


def _report(placement: Placement, first: str) -> PassReport:
    left = placement.left
    notes = [first, *(f"{name} keeps its precision: {reason}" for name, reason in left.items())]
    return PassReport(name="quantize", changed=len(placement.chosen), notes=tuple(notes), kept=dict(left))


def _nothing(context: PassContext, placement: Placement) -> Diagnostic:
    reasons = [f"{name}: {reason}" for name, reason in placement.left.items()]
    return Diagnostic(
        id="lower-nothing-quantised",
        message=f"{context.profile.name} has no operator that {context.precision.value} can hold",
        notes=tuple(reasons[:3]) + ((f"and {len(reasons) - 3} more",) if len(reasons) > 3 else ()),
        help="choose another precision: this one would be the remainder's precision under another name",
    )


def _without_data(context: PassContext) -> Diagnostic:
    return Diagnostic(
        id="calibration-missing",
        message=f"{context.precision.value.upper()} needs calibration data for {context.profile.name}",
        help="set accuracy.dataset (its first samples calibrate) or quantization.calibration to an .npz file",
    )
