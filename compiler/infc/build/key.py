"""The engine key: one hash over everything that decides an engine, and nothing else (no path, no time, no host)."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata

from infc.build.libraries import LIBRARIES
from infc.diag import ToolError
from infc.ir.engine import BuildRequest
from infc.ir.engine_kind import EngineKind

BUILDER_VERSION = 2
"""Raise it when a builder of infc changes what it makes from the same inputs: it is part of every key."""


def toolchain_for(kind: EngineKind) -> Mapping[str, str]:
    """Names and versions of what builds engines of this kind, without importing it.

    Raises ToolError when absent or too old.
    """
    package = "onnxruntime" if kind == "onnxruntime" else LIBRARIES[kind].package
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError as error:
        extra = {"tensorrt": "tensorrt", "tensorrt_rtx": "rtx", "onnxruntime": "onnx"}[kind]
        raise ToolError(
            f"building {kind} engines needs the package {package}, which is not installed",
            help=f"pip install 'infc[{extra}]'",
        ) from error
    oldest = 1 if kind == "onnxruntime" else LIBRARIES[kind].minimum_major
    if int(version.split(".")[0]) < oldest:
        raise ToolError(
            f"{package} {version} is too old to build engines with, {oldest}.x or newer is needed",
            help=f"pip install '{package}>={oldest}'",
        )
    return {package: version}


def engine_key(request: BuildRequest, toolchain: Mapping[str, str]) -> str:
    """sha256 over canonical JSON of the build inputs.

    The device is the compute capability where an engine is portable inside it (TensorRT-RTX), the hardware where
    tactics are timed on it (TensorRT), and the processor architecture for the CPU.
    """
    inputs = {
        "builder": BUILDER_VERSION,
        "kind": request.kind,
        "model": request.model.digest,
        "recipe": request.model.recipe_digest,
        "precision": request.model.precision.value,
        "shapes": [
            [shape.input_name, list(shape.minimum), list(shape.optimum), list(shape.maximum)]
            for shape in sorted(request.shapes, key=lambda s: s.input_name)
        ],
        "device": _device(request),
        "options": asdict(request.options),
        "toolchain": dict(toolchain),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _device(request: BuildRequest) -> str:
    match request.kind:
        case "tensorrt_rtx":
            return f"sm{request.compute_capability}"
        case "tensorrt":
            return f"{request.hardware_id} sm{request.compute_capability}"
        case "onnxruntime":
            return f"cpu {platform.machine()}"
        case "onnxruntime_cuda" | "onnxruntime_tensorrt":
            return f"sm{request.compute_capability}"
        case "torch_inductor":
            capability = request.compute_capability
            return f"{request.hardware_id} sm{capability}" if capability else f"cpu {platform.machine()}"
