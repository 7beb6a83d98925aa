"""ONNX Runtime on the CPU: an ONNX file, prepared so that Triton's backend cannot corrupt it (`server_settings`)."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infc.build.cache import publish
from infc.build.server_settings import ALL_REWRITES, GRAPH_LEVEL, NO_REWRITES
from infc.diag import Diagnostic
from infc.ir.engine import BuildRequest, Engine, EngineFacts, EngineLayer

if TYPE_CHECKING:
    import onnx

TIMEOUT_S = 600.0


def build_onnxruntime(
    request: BuildRequest,
    key: str,
    toolchain: Mapping[str, str],
    cache_dir: Path,
    report: Callable[[str], None],
) -> tuple[Engine | None, tuple[Diagnostic, ...]]:
    """Prepare the lowered model for ONNX Runtime's CPU kernels and publish it under `key`.

    A model with Q/DQ nodes is optimised now, at the extended level (portable between processors) without the unsafe
    rewrites, in a process of its own; any other model is left as it is. Same inputs, same bytes.
    """
    import onnx

    cache_dir.mkdir(parents=True, exist_ok=True)
    model = onnx.load(request.model.path)
    has_qdq = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    with tempfile.TemporaryDirectory(prefix=".job-", dir=cache_dir) as name:
        built = Path(name) / "model.onnx"
        report(f"ONNX Runtime {toolchain['onnxruntime']}: {'optimising' if has_qdq else 'checking'} the model")
        refusal = _open_in_worker(request, built, has_qdq)
        if refusal is not None:
            return None, (refusal,)
        if has_qdq:
            model = _normalised(onnx.load(built))
        built.write_bytes(model.SerializeToString(deterministic=True))
        facts = _facts(model, toolchain, NO_REWRITES if has_qdq else ALL_REWRITES)
        engine = publish(cache_dir, key, request, facts, lambda target: os.replace(built, target))
    kinds = Counter(layer.kind for layer in facts.layers).most_common(3)
    report(f"onnxruntime engine {key[:12]} built: " + ", ".join(f"{count} {kind}" for kind, count in kinds))
    return engine, ()


def _open_in_worker(request: BuildRequest, target: Path, has_qdq: bool) -> Diagnostic | None:
    """Open the model in another process (and save it optimised); the diagnostic when ONNX Runtime refuses it."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "infc.build.onnxruntime_worker",
        str(request.model.path.resolve()),
        str(target),
    ]
    if has_qdq:
        command.append("--optimise")
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode == 0:
        return None
    lines = [line.rpartition("[ONNXRuntimeError] : ")[2] for line in done.stderr.splitlines() if line.strip()]
    if "NOT_IMPLEMENTED" in done.stderr:
        return Diagnostic(
            id="build-precision-unsupported",
            message=f"ONNX Runtime's CPU kernels cannot run this model in {request.model.precision.value}",
            notes=tuple(lines[-1:]),
            help="allow fp32 or int8 in constraints.precision for cpu",
        )
    return Diagnostic(
        id="build-failed",
        message=f"ONNX Runtime does not open the {request.model.precision.value} model",
        notes=tuple(lines[-2:]),
        help="check that onnxruntime opens the source model; if it does, report a bug in infc",
    )


def _normalised(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Drop what ONNX Runtime adds and no reader needs: its name, metadata, and operator sets that no node uses.

    An older ONNX Runtime in a Triton image refuses operator sets it does not know, used or not.
    """
    import onnx

    used = {node.domain for node in model.graph.node} | {""}
    kept = sorted((e.domain, e.version) for e in model.opset_import if e.domain in used)
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in kept)
    model.producer_name, model.producer_version = "", ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    return model


def _facts(model: "onnx.ModelProto", toolchain: Mapping[str, str], graph_level: int) -> EngineFacts:
    import onnx

    sizes = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    types = {t.name: onnx.TensorProto.DataType.Name(t.data_type).lower() for t in model.graph.initializer}
    layers = tuple(
        EngineLayer(
            name=node.name,
            kind=node.op_type,
            dtype=next((types[name] for name in node.input[1:] if name in types), ""),
        )
        for node in model.graph.node
    )
    return EngineFacts(
        activation_bytes=None,
        weight_bytes=sizes,
        layers=layers,
        toolchain=toolchain,
        settings={GRAPH_LEVEL: str(graph_level)},
    )
