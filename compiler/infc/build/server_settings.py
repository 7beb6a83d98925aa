"""How a server must open an ONNX Runtime engine so that it answers as it was tested.

ONNX Runtime's default optimisation rewrites some Q/DQ models into wrong ones without an error (1.31:
WeightBiasQuantization, ClipQuantRewrite, ReluQuantRewrite). Triton's backend offers no switch for single rewrites,
only `optimization { graph { level } }`: 0 (all rewrites, the default), -1 (basic), 1 (extended), 2 (none). So
quantised engines are optimised when they are built, with those three disabled, and opened with level 2; the others
hold no Q/DQ, so the default is safe, and it may lay data out for the server's own processor.
Source: onnxruntime_backend, src/onnxruntime.cc and README of Triton.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.engine import Engine

UNSAFE_REWRITES = ("WeightBiasQuantization", "ClipQuantRewrite", "ReluQuantRewrite")
GRAPH_LEVEL = "triton.optimization.graph.level"
ALL_REWRITES, NO_REWRITES = 0, 2


@dataclass(frozen=True, kw_only=True)
class OnnxRuntimeSettings:
    """What the emitter writes.

    `graph_level` is Triton's `optimization.graph.level` (0: leave it out, it is the default); `parameters` are the
    backend's string parameters.
    """

    graph_level: int
    parameters: Mapping[str, str]

    @property
    def has_rewrites(self) -> bool:
        """Whether the session may rewrite the graph when it opens the file (ONNX Runtime's ORT_ENABLE_ALL)."""
        return self.graph_level == ALL_REWRITES


def onnxruntime_settings(engine: Engine, *, threads: int = 1) -> OnnxRuntimeSettings:
    """The settings for an ONNX Runtime engine with `threads` threads per instance."""
    return OnnxRuntimeSettings(
        graph_level=int(engine.facts.settings[GRAPH_LEVEL]),
        parameters={"intra_op_thread_count": str(threads), "inter_op_thread_count": "1"},
    )
