"""The numeric formats that an engine can hold."""

from enum import StrEnum


class Precision(StrEnum):
    """Precision of the matrix operators of an engine; `FP4` is NVFP4, `INT4` is weight-only."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    INT8 = "int8"
    INT4 = "int4"
    FP4 = "fp4"

    @property
    def weight_bytes(self) -> float:
        """Bytes that one weight takes in the engine."""
        return _WEIGHT_BYTES[self]

    @property
    def activation_bytes(self) -> float:
        """Bytes that one activation element takes between fused operators (weight-only formats keep FP16)."""
        return _ACTIVATION_BYTES[self]


_WEIGHT_BYTES = {
    Precision.FP32: 4.0,
    Precision.TF32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP16: 2.0,
    Precision.FP8: 1.0,
    Precision.INT8: 1.0,
    Precision.INT4: 0.5,
    Precision.FP4: 0.5,
}
_ACTIVATION_BYTES = {
    Precision.FP32: 4.0,
    Precision.TF32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP16: 2.0,
    Precision.FP8: 1.0,
    Precision.INT8: 1.0,
    Precision.INT4: 2.0,
    Precision.FP4: 2.0,
}
