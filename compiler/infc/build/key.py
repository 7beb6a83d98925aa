"""The engine key: one hash over everything that decides an engine, and nothing else (no path, no time, no host)."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from infc.ir.build_options import BuildOptions
from infc.ir.engine import BuildRequest, ShapeRange
from infc.ir.engine_kind import EngineKind
from infc.ir.job import BuildJob
from infc.ir.precision import Precision

BUILDER_VERSION = 3
"""Raise it when a builder of infc changes what it makes from the same inputs: it is part of every key."""


def engine_key(request: BuildRequest, toolchain: Mapping[str, str]) -> str:
    """The key of the engine that this toolchain builds for a request.

    Everything of the request counts but the model's path and the words about its passes, which its digests stand for.
    """
    return _key(
        kind=request.kind,
        model_digest=request.model.digest,
        source_digest=request.model.source_digest,
        recipe_digest=request.model.recipe_digest,
        precision=request.model.precision,
        shapes=request.shapes,
        hardware_id=request.hardware_id,
        compute_capability=request.compute_capability,
        options=request.options,
        toolchain=toolchain,
    )


def job_key(job: BuildJob) -> str:
    """The key that the fields of a job come to; another than `job.key` means that the job was edited."""
    return _key(
        kind=job.kind,
        model_digest=job.model.digest,
        source_digest=job.source_digest,
        recipe_digest=job.recipe_digest,
        precision=job.precision,
        shapes=job.shapes,
        hardware_id=job.hardware_id,
        compute_capability=job.compute_capability,
        options=job.options,
        toolchain=job.toolchain,
    )


def _key(
    *,
    kind: EngineKind,
    model_digest: str,
    source_digest: str,
    recipe_digest: str,
    precision: Precision,
    shapes: Iterable[ShapeRange],
    hardware_id: str,
    compute_capability: str | None,
    options: BuildOptions,
    toolchain: Mapping[str, str],
) -> str:
    """sha256 over canonical JSON of the build inputs; the order of inputs does not count."""
    inputs = {
        "builder": BUILDER_VERSION,
        "kind": kind,
        "model": model_digest,
        "source": source_digest,
        "recipe": recipe_digest,
        "precision": precision.value,
        "shapes": [asdict(shape) for shape in sorted(shapes, key=lambda shape: shape.input_name)],
        "device": _device(kind, hardware_id, compute_capability),
        "options": asdict(options),
        "toolchain": dict(toolchain),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _device(kind: EngineKind, hardware_id: str, compute_capability: str | None) -> str:
    """What of a device decides the engine.

    The compute capability where the engine is portable inside it, the hardware where kernels are timed on it, nothing
    for the CPU: its architecture is part of the toolchain.
    """
    match kind:
        case "tensorrt_rtx" | "onnxruntime_cuda" | "onnxruntime_tensorrt":
            return f"sm{compute_capability}"
        case "tensorrt":
            return f"{hardware_id} sm{compute_capability}"
        case "onnxruntime":
            return "cpu"
        case "torch_inductor":
            return f"{hardware_id} sm{compute_capability}" if compute_capability else "cpu"
