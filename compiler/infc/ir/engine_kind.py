"""The kinds of engines, apart from the engines: a plan and a lock name kinds without ever holding an engine."""

from typing import Literal, TypeAlias, get_args

EngineKind: TypeAlias = Literal[
    "tensorrt", "tensorrt_rtx", "onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt", "torch_inductor"
]
"""`onnxruntime` is ONNX Runtime on the CPU; with `_cuda` and `_tensorrt` it is that execution provider on a GPU.
`torch_inductor` is a package compiled ahead of time by torch.compile (AOTInductor)."""

EngineChoice: TypeAlias = Literal["auto", "tensorrt", "tensorrt_rtx", "onnxruntime", "torch"]
"""What `build.engine` of a spec may say: which runtime; the kind follows from the device."""

ENGINE_KINDS: tuple[EngineKind, ...] = get_args(EngineKind)
