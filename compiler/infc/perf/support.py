"""Which precision a device can run for a model, and why not."""

from collections.abc import Collection
from dataclasses import dataclass

from infc.ir.hardware import Hardware
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """There is no number because the device cannot run it; `reason` is a sentence without a full stop."""

    reason: str


_MINIMUM_CAPABILITY = {
    Precision.FP16: (5, 3),
    Precision.INT8: (6, 1),
    Precision.INT4: (8, 0),
    Precision.BF16: (8, 0),
    Precision.TF32: (8, 0),
    Precision.FP8: (8, 9),
    Precision.FP4: (10, 0),
}
_CPU_PRECISIONS = (Precision.FP32, Precision.INT8)
_TURING = (7, 5)


def unsupported_reason(hardware: Hardware, precision: Precision, classes: Collection[OperatorClass] = ()) -> str | None:
    """Why `hardware` cannot run operators of `classes` in `precision`; None when it can.

    INT4 is the weights of matrix products alone, which are multiplied in FP16: it needs no INT4 matrix units.

    Source: CUDA compute capability tables (BF16 and TF32 from 8.0, FP8 from 8.9, FP4 from 10.0); TensorRT-RTX 1.7
    refuses FP32 matrix products on compute capability 7.5 ("FP32 GEMM is not supported") and INT4 weights below 8.0
    ("HW-specific datatypes: int4").
    """
    if hardware.kind == "other":
        return f"infc has no performance model for {hardware.vendor} accelerators; they are listed to compare prices"
    if hardware.kind == "cpu":
        if precision is Precision.INT4:
            return (
                "infc makes INT4 weights for TensorRT; ONNX Runtime on a CPU would widen them again in every execution"
            )
        if precision not in _CPU_PRECISIONS:
            return f"ONNX Runtime has no {precision.value.upper()} kernels on a CPU; it runs FP32 and INT8"
        return None
    capability = _capability(hardware)
    needed = _MINIMUM_CAPABILITY.get(precision)
    if needed is not None and capability is not None and capability < needed:
        return (
            f"{hardware.name} has compute capability {hardware.compute_capability};"
            f" {precision.value.upper()} needs {needed[0]}.{needed[1]}"
        )
    if precision is Precision.INT4 and classes and OperatorClass.GEMM not in classes:
        return "INT4 is for the weights of matrix products, and this model has none"
    if Precision.FP32 not in hardware.peak_flops:
        return f"dense_tflops of {hardware.id} has no fp32, which what is no matrix product runs in"
    if arithmetic(precision) not in hardware.peak_flops:
        return f"{hardware.name} has no {precision.value.upper()} matrix units"
    if precision is Precision.FP32 and capability == _TURING and OperatorClass.GEMM in classes:
        return "TensorRT-RTX does not build FP32 matrix products for compute capability 7.5"
    return None


def arithmetic(precision: Precision) -> Precision:
    """The format that an engine of an ONNX model multiplies in: INT4 weights are widened to FP16 first.

    >>> arithmetic(Precision.INT4).value, arithmetic(Precision.INT8).value
    ('fp16', 'int8')
    """
    return Precision.FP16 if precision is Precision.INT4 else precision


def _capability(hardware: Hardware) -> tuple[int, int] | None:
    if hardware.compute_capability is None:
        return None
    major, _, minor = hardware.compute_capability.partition(".")
    return int(major), int(minor or 0)
