"""Stand-ins for Triton backends whose compiled libraries no Python package ships.

Each folder holds a `model.py` for Triton's python-based backends. It runs inside the server's own Python process,
with the packages of the environment that infc runs in, and never imports infc.
"""

from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent

STAND_INS: Mapping[str, Path] = {
    "onnxruntime": _HERE / "onnxruntime",
    "tensorrt": _HERE / "sleeper",
    "tensorrt_rtx": _HERE / "sleeper",
}
"""Backend name -> folder with its `model.py`. ONNX Runtime is the real one; the TensorRT ones only keep time."""
