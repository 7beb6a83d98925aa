"""How a model is lowered: what decides the bytes besides the model and the calibration data."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from infc.ir.engine_kind import EngineChoice
from infc.ir.hardware import HardwareKind
from infc.ir.precision import Precision

Dialect: TypeAlias = Literal["tensorrt", "onnxruntime"]
CalibrationMethod: TypeAlias = Literal["minmax", "entropy", "percentile"]

SUPPORTED: tuple[Precision, ...] = (
    Precision.FP32,
    Precision.TF32,
    Precision.FP16,
    Precision.BF16,
    Precision.INT8,
    Precision.FP8,
    Precision.INT4,
)


@dataclass(frozen=True, kw_only=True)
class LoweringSettings:
    """Choices of one lowering.

    `dialect` is who reads the Q/DQ nodes of INT8: TensorRT takes symmetric int8 on the inputs of weighted operators
    only; ONNX Runtime's CPU kernels fuse only where outputs are quantised too, to uint8. `calibration_method` finds the
    ranges of INT8 and FP8 activations. `remainder` is the precision of what quantisation leaves alone (FP16 also keeps
    SM 7.5 buildable, which has no FP32 matrix products).
    `is_attention_quantized` False leaves products of two activations without Q/DQ, which costs little speed and saves
    the accuracy of transformers. `kept` are operators of the source model, by name and in order, that stay in the
    remainder's precision although their type would be quantised: what the search for sensitive layers raised back.
    """

    dialect: Dialect = "tensorrt"
    calibration_method: CalibrationMethod = "minmax"
    is_attention_quantized: bool = True
    remainder: Precision = Precision.FP16
    kept: tuple[str, ...] = ()


def settings_for(
    kind: HardwareKind, *, method: CalibrationMethod = "minmax", choice: EngineChoice = "auto"
) -> LoweringSettings:
    """The settings that engines for this kind of hardware need, with the runtime that the spec chose.

    >>> settings_for("cpu").dialect, settings_for("gpu").remainder.value
    ('onnxruntime', 'fp16')
    """
    if kind == "cpu":
        return LoweringSettings(dialect="onnxruntime", calibration_method=method, remainder=Precision.FP32)
    # Triton tells ONNX Runtime's TensorRT provider one precision besides FP32: INT8 leaves no room for FP16.
    remainder = Precision.FP32 if choice == "onnxruntime" else Precision.FP16
    return LoweringSettings(dialect="tensorrt", calibration_method=method, remainder=remainder)


def relevant(settings: LoweringSettings, precision: Precision) -> LoweringSettings:
    """The settings with everything that does not matter to a precision at its default: what its identity is made of.

    >>> relevant(LoweringSettings(dialect="onnxruntime", kept=("a",)), Precision.FP16) == LoweringSettings()
    True
    """
    match precision:
        case Precision.INT8:
            return settings
        case Precision.FP8:
            return replace(settings, dialect="tensorrt")
        case Precision.INT4:
            return LoweringSettings(remainder=settings.remainder, kept=settings.kept)
    return LoweringSettings()
