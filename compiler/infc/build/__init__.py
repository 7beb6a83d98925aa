"""Engine builders: TensorRT, TensorRT-RTX and ONNX Runtime, with a cache by key.

`build` is the only way to an engine: it looks the key up, builds what is missing in a process of its own, and
publishes atomically.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from infc.build.cache import read_engine, sweep_stale
from infc.build.key import engine_key, toolchain_for
from infc.build.onnxruntime_engine import build_onnxruntime
from infc.build.server_settings import OnnxRuntimeSettings, onnxruntime_settings
from infc.build.shapes import shape_ranges
from infc.build.support import builder_for, can_build
from infc.build.tensorrt_engine import build_tensorrt
from infc.diag import Diagnostic
from infc.ir.engine import BuildRequest, Engine

__all__ = [
    "OnnxRuntimeSettings",
    "build",
    "builder_for",
    "can_build",
    "engine_key",
    "onnxruntime_settings",
    "shape_ranges",
    "toolchain_for",
]

Progress: TypeAlias = Callable[[str], None]


def build(
    request: BuildRequest, cache_dir: Path, progress: Progress | None = None
) -> tuple[Engine | None, tuple[Diagnostic, ...]]:
    """The engine of a request, from the cache `cache_dir` (`<workspace>/.infc/engines`) or built now.

    `progress` gets short lines in words. What the builder refuses comes back as diagnostics with its reason; a
    missing builder package raises ToolError that says how to get it.
    """
    report = progress or _silent
    refusal = can_build(request)
    if refusal is not None:
        return None, (refusal,)
    toolchain = toolchain_for(request.kind)
    key = engine_key(request, toolchain)
    cached = read_engine(cache_dir, key, request)
    if cached is not None:
        report(f"{request.kind} engine {key[:12]} is in the cache")
        return cached, ()
    sweep_stale(cache_dir, time.time())
    if request.kind == "onnxruntime":
        return build_onnxruntime(request, key, toolchain, cache_dir, report)
    return build_tensorrt(request, key, toolchain, cache_dir, report)


def _silent(line: str) -> None:
    """Report nothing."""
