"""Stand-ins for Triton backends whose compiled libraries no Python package ships.

Each folder holds a `model.py` for Triton's python-based backends. It runs inside the server's own Python process,
with the packages of the environment that infc runs in, and never imports infc.
"""

from collections.abc import Mapping
from pathlib import Path

from infc.ir.engine_kind import EngineKind

_HERE = Path(__file__).parent

SLEEPER = _HERE / "sleeper"
"""Takes the planned service times and answers zeros, under the name of any backend."""

STAND_INS: Mapping[str, Path] = {
    "onnxruntime": _HERE / "onnxruntime",
    "tensorrt": SLEEPER,
    "tensorrt_rtx": SLEEPER,
    "torch_inductor": SLEEPER,
}
"""Backend name -> folder with its `model.py`. ONNX Runtime is the real one; the others only keep time."""

TRITON_BACKENDS: Mapping[EngineKind, str] = {
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt_rtx",
    "onnxruntime": "onnxruntime",
    "onnxruntime_cuda": "onnxruntime",
    "onnxruntime_tensorrt": "onnxruntime",
    "torch_inductor": "torch_inductor",
}
"""Triton's name of the backend that runs engines of a kind."""

OWN_BACKENDS: tuple[EngineKind, ...] = ("tensorrt_rtx", "torch_inductor")
"""Kinds whose backend is infc's own and lies in the bundle, under the name of the kind."""
