"""ONNX Runtime: an ONNX file, prepared so that Triton's backend cannot corrupt it (`server_settings`).

The execution provider is chosen by the server's settings; the CUDA and TensorRT providers read the same file.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infc.build.server_settings import ALL_REWRITES, GRAPH_LEVEL, NO_REWRITES, accelerator_settings
from infc.diag import Diagnostic
from infc.ir.engine import EngineFacts, EngineLayer
from infc.ir.job import BuildJob

if TYPE_CHECKING:
    import onnx

TIMEOUT_S = 600.0


def build_onnxruntime(
    job: BuildJob, model_path: Path, target: Path, report: Callable[[str], None]
) -> EngineFacts | Diagnostic:
    """Prepare the lowered model for ONNX Runtime and write it to `target`.

    For the CPU a model with Q/DQ nodes is optimised now, at the extended level (portable between processors) without
    the unsafe rewrites, in a process of its own. Any other model is left as it is, Q/DQ nodes for the TensorRT
    provider too: it fuses them itself. Same inputs, same bytes.
    """
    import onnx

    model = onnx.load(model_path)
    has_qdq = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    is_optimised = has_qdq and job.kind == "onnxruntime"
    report(f"ONNX Runtime {job.toolchain['onnxruntime']}: {'optimising' if is_optimised else 'checking'} the model")
    refusal = _open_in_worker(job, model_path, target, is_optimised)
    if refusal is not None:
        return refusal
    if is_optimised:
        model = _normalised(onnx.load(target))
    target.write_bytes(model.SerializeToString(deterministic=True))
    settings = {GRAPH_LEVEL: str(NO_REWRITES if has_qdq else ALL_REWRITES)}
    if job.kind == "onnxruntime_tensorrt":
        settings |= accelerator_settings(job)
    facts = _facts(model, job.toolchain, settings)
    kinds = Counter(layer.kind for layer in facts.layers).most_common(3)
    report("ONNX Runtime runs it as " + ", ".join(f"{count} {kind}" for kind, count in kinds))
    return facts


def _open_in_worker(job: BuildJob, model_path: Path, target: Path, is_optimised: bool) -> Diagnostic | None:
    """Open the model in another process (and save it optimised); the diagnostic when ONNX Runtime refuses it."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "infc.build.onnxruntime_worker",
        str(model_path.resolve()),
        str(target.resolve()),
    ]
    if is_optimised:
        command.append("--optimise")
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode == 0:
        return None
    lines = [line.rpartition("[ONNXRuntimeError] : ")[2] for line in done.stderr.splitlines() if line.strip()]
    if "NOT_IMPLEMENTED" in done.stderr:
        return Diagnostic(
            id="build-precision-unsupported",
            message=f"ONNX Runtime's CPU kernels cannot run this model in {job.precision.value}",
            notes=tuple(lines[-1:]),
            help="allow fp32 or int8 in constraints.precision for cpu",
        )
    return Diagnostic(
        id="build-failed",
        message=f"ONNX Runtime does not open the {job.precision.value} model",
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


def _facts(model: "onnx.ModelProto", toolchain: Mapping[str, str], settings: Mapping[str, str]) -> EngineFacts:
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
        settings=settings,
    )
