"""Which runtimes can serve a device in a precision: what `build.engine` of a spec may sensibly ask for."""

from typing import assert_never

from infc.ir.engine_kind import EngineChoice, EngineKind
from infc.ir.hardware import Hardware
from infc.ir.precision import Precision

_OWN_KINDS = ("tensorrt", "tensorrt_rtx", "onnxruntime")
_TORCH_PRECISIONS = (Precision.FP32, Precision.TF32, Precision.FP16, Precision.BF16)
_ONNXRUNTIME_GPU_PRECISIONS = (Precision.FP32, Precision.TF32, Precision.FP16, Precision.INT8)


def refused_engine(hardware: Hardware, choice: EngineChoice, precision: Precision) -> str | None:
    """Why a runtime cannot serve a device in a precision, as a sentence without a full stop; None when it can.

    Source: ONNX Runtime's documentation on quantisation (on GPUs only its TensorRT provider runs Q/DQ models, in INT8)
    and Triton's ONNX Runtime backend 24.10 (its TensorRT accelerator knows FP32, FP16 and INT8).
    """
    is_nvidia = hardware.kind in ("gpu", "jetson")
    name = precision.value.upper()
    match choice:
        case "auto":
            return None
        case "tensorrt":
            return None if is_nvidia else f"TensorRT runs on NVIDIA GPUs, and {hardware.name} is none"
        case "tensorrt_rtx":
            if hardware.kind == "jetson":
                return "TensorRT-RTX runs on GPUs of PCs and servers, not on Jetson modules"
            return None if is_nvidia else f"TensorRT-RTX runs on NVIDIA GPUs, and {hardware.name} is none"
        case "onnxruntime":
            if hardware.kind == "jetson":
                return "a Jetson module builds TensorRT engines from what infc sends it"
            if not is_nvidia or precision in _ONNXRUNTIME_GPU_PRECISIONS:
                return None
            return f"ONNX Runtime's CUDA and TensorRT providers do not run {name} models in Triton"
        case "torch":
            if hardware.kind not in ("gpu", "cpu"):
                return f"infc makes no torch packages for {hardware.name}"
            if precision in _TORCH_PRECISIONS:
                return None
            return f"torch.compile has no {name} products for Q/DQ models"
        case _:
            assert_never(choice)


def chosen_kind(choice: EngineChoice, hardware: Hardware, precision: Precision) -> EngineKind | None:
    """The kind of engine that a choice means for a device; None where infc picks: TensorRT, ONNX Runtime on a CPU."""
    match choice:
        case "auto":
            return None
        case "tensorrt" | "tensorrt_rtx":
            return choice
        case "onnxruntime":
            if hardware.kind == "cpu":
                return "onnxruntime"
            # Of the GPU providers only TensorRT's runs Q/DQ models in INT8.
            return "onnxruntime_tensorrt" if precision is Precision.INT8 else "onnxruntime_cuda"
        case "torch":
            return "torch_inductor"
        case _:
            assert_never(choice)


def is_measured_for(choice: EngineChoice, kind: str) -> bool:
    """Whether service times of a kind of engine speak for what a choice runs: those of the same runtime do.

    >>> is_measured_for("auto", "tensorrt"), is_measured_for("torch", "onnxruntime")
    (True, False)
    """
    match choice:
        case "auto":
            return kind in _OWN_KINDS
        case "tensorrt" | "tensorrt_rtx":
            return kind in ("tensorrt", "tensorrt_rtx")
        case "onnxruntime":
            return kind.startswith("onnxruntime")
        case "torch":
            return kind == "torch_inductor"
        case _:
            assert_never(choice)


def runs_tensorrt(choice: EngineChoice) -> bool:
    """Whether a GPU runs TensorRT under a choice."""
    return choice in ("auto", "tensorrt", "tensorrt_rtx")
