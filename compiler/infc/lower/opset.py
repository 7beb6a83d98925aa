"""Raise the operator set where a precision needs a newer one."""

import onnx
from onnx import version_converter

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower.passes import PassContext

PER_CHANNEL_QDQ = 13
HALF_SCALES = 19
INT4_BLOCKS = 21
BF16_OPERATORS = 22


def raise_opset(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Raise the operator set to what the precision needs.

    That is 13 for per-channel Q/DQ, 19 for FP8 and for FP16 scales, 21 for INT4 and scales in blocks, 22 for BF16 (the
    first in which Conv takes it).
    """
    needed = _needed(context)
    have = g.opset(model)
    if have >= needed:
        return model, PassReport(name="raise-opset", changed=0, notes=())
    try:
        raised = version_converter.convert_version(model, needed)
    except (RuntimeError, ValueError) as error:
        return Diagnostic(
            id="model-opset",
            message=f"{context.profile.name} cannot be raised from ONNX opset {have} to {needed}",
            notes=(str(error).strip().splitlines()[0],),
            help=f"export the model again with opset {needed} or newer",
        )
    return raised, PassReport(name="raise-opset", changed=1, notes=(f"opset {have} to {needed}",))


def _needed(context: PassContext) -> int:
    match context.precision:
        case Precision.FP8:
            return HALF_SCALES
        case Precision.INT4:
            return INT4_BLOCKS
        case Precision.BF16:
            return BF16_OPERATORS
        case Precision.INT8 if context.settings.remainder is Precision.FP16:
            return HALF_SCALES
    return PER_CHANNEL_QDQ
