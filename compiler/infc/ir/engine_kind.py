"""The kinds of engines, apart from the engines: a plan and a lock name kinds without ever holding an engine."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

EngineKind: TypeAlias = Literal[
    "tensorrt", "tensorrt_rtx", "onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt", "torch_inductor"
]
"""`onnxruntime` is ONNX Runtime on the CPU; with `_cuda` and `_tensorrt` it is that execution provider on a GPU.
`torch_inductor` is a package compiled ahead of time by torch.compile (AOTInductor)."""

EngineChoice: TypeAlias = Literal["auto", "tensorrt", "tensorrt_rtx", "onnxruntime", "torch"]
"""What `build.engine` of a spec may say: which runtime; the kind follows from the device."""

ENGINE_KINDS: tuple[EngineKind, ...] = get_args(EngineKind)

ENGINE_NAMES: Mapping[EngineKind, str] = {
    "tensorrt": "model.plan",
    "tensorrt_rtx": "model.plan",
    "onnxruntime": "model.onnx",
    "onnxruntime_cuda": "model.onnx",
    "onnxruntime_tensorrt": "model.onnx",
    "torch_inductor": "model.pt2",
}
"""What an engine's file is called, in the cache, in a builder's result and in a model repository."""
