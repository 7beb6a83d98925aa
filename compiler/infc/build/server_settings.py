"""How a server must open an ONNX Runtime engine so that it answers as it was tested.

ONNX Runtime's default optimisation rewrites some Q/DQ models into wrong ones without an error (1.31:
WeightBiasQuantization, ClipQuantRewrite, ReluQuantRewrite). Triton's backend offers no switch for single rewrites,
only `optimization { graph { level } }`: 0 (all rewrites, the default), -1 (basic), 1 (extended), 2 (none). So
quantised engines are optimised when they are built, with those three disabled, and opened with level 2; the others
hold no Q/DQ, so the default is safe, and it may lay data out for the server's own processor.
Source: onnxruntime_backend, src/onnxruntime.cc and README of Triton.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from infc.ir.engine import Engine, ShapeRange
from infc.ir.job import BuildJob
from infc.ir.precision import Precision

UNSAFE_REWRITES = ("WeightBiasQuantization", "ClipQuantRewrite", "ReluQuantRewrite")
GRAPH_LEVEL = "triton.optimization.graph.level"
ALL_REWRITES, NO_REWRITES = 0, 2
ACCELERATOR = "triton.tensorrt_accelerator."
"""Prefix of settings that are parameters of Triton's `tensorrt` execution accelerator."""
ENGINE_CACHE = "/engine_cache"
"""Where the server keeps the engines that the TensorRT provider builds at its start; the launch command mounts it."""
_PRECISION_MODES = {Precision.FP16: "FP16", Precision.INT8: "INT8"}


@dataclass(frozen=True, kw_only=True)
class OnnxRuntimeSettings:
    """What the emitter writes.

    `graph_level` is Triton's `optimization.graph.level` (0: leave it out, it is the default); `parameters` are the
    backend's string parameters, `accelerator` those of the `tensorrt` execution accelerator (empty: it is not used).
    """

    graph_level: int
    parameters: Mapping[str, str]
    accelerator: Mapping[str, str]

    @property
    def has_rewrites(self) -> bool:
        """Whether the session may rewrite the graph when it opens the file (ONNX Runtime's ORT_ENABLE_ALL)."""
        return self.graph_level == ALL_REWRITES


def onnxruntime_settings(engine: Engine, *, threads: int = 1) -> OnnxRuntimeSettings:
    """The settings for an ONNX Runtime engine with `threads` threads per instance."""
    stated = engine.facts.settings
    return OnnxRuntimeSettings(
        graph_level=int(stated[GRAPH_LEVEL]),
        parameters={"intra_op_thread_count": str(threads), "inter_op_thread_count": "1"},
        accelerator={
            name.removeprefix(ACCELERATOR): value for name, value in stated.items() if name.startswith(ACCELERATOR)
        },
    )


def accelerator_settings(job: BuildJob) -> Mapping[str, str]:
    """Settings of the TensorRT execution provider for a job: precision, optimization profile, limits, engine cache.

    Source: README and src/onnxruntime.cc of Triton's ONNX Runtime backend, whose `precision_mode` is FP32, FP16 or INT8
    (one of them, so INT8 models keep the rest in FP32).
    """
    parameters = {
        "precision_mode": _PRECISION_MODES.get(job.precision, "FP32"),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": ENGINE_CACHE,
        "trt_profile_min_shapes": _profile(job.shapes, "minimum"),
        "trt_profile_opt_shapes": _profile(job.shapes, "optimum"),
        "trt_profile_max_shapes": _profile(job.shapes, "maximum"),
    }
    if job.options.workspace_bytes is not None:
        parameters["max_workspace_size_bytes"] = str(job.options.workspace_bytes)
    if job.options.optimization_level is not None:
        parameters["trt_builder_optimization_level"] = str(job.options.optimization_level)
    return {ACCELERATOR + name: value for name, value in parameters.items()}


def _profile(shapes: Sequence[ShapeRange], end: Literal["minimum", "optimum", "maximum"]) -> str:
    """Shapes of every input as the provider reads them.

    >>> _profile([ShapeRange(input_name="x", minimum=(1, 3), optimum=(8, 3), maximum=(8, 3))], "optimum")
    'x:8x3'
    """
    return ",".join(f"{shape.input_name}:{'x'.join(map(str, getattr(shape, end)))}" for shape in shapes)
