"""The kinds of engines, apart from the engines: a plan and a lock name kinds without ever holding an engine."""

from typing import Literal, TypeAlias

EngineKind: TypeAlias = Literal["tensorrt", "tensorrt_rtx", "onnxruntime"]
