"""Text files of the bundle: how to start it, what it is, and the backend that Triton does not bring itself."""

from collections.abc import Mapping
from pathlib import Path

from infc.emit.release import TritonRelease, triton_folder
from infc.emit.templates import TemplateValue, render
from infc.emit.triton.settings import ENGINE_FILES, ModelSettings
from infc.emit.triton.tensors import TritonTensor
from infc.ir.engine import Engine, PendingEngine
from infc.ir.engine_kind import EngineKind
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.validate.gpu import RUNNER_FILE

_ENGINE_NAMES: Mapping[EngineKind, str] = {
    "tensorrt": "TensorRT",
    "tensorrt_rtx": "TensorRT-RTX",
    "onnxruntime": "ONNX Runtime",
}
# Source: the error that Triton's metrics registry allows for a quantile of a summary; tighter for the tail.
_QUANTILE_ERRORS = ((0.99, 0.001), (0.9, 0.005), (0.0, 0.05))
_CUDA_BINDINGS = "13.0.3"


def text_files(
    problem: Problem, plan: Plan, engine: Engine | PendingEngine, settings: ModelSettings, release: TritonRelease
) -> dict[str, bytes]:
    """`launch.sh` and `README.md`."""
    templates = triton_folder() / "templates"
    values = _values(problem, plan, engine, settings, release)
    return {
        "launch.sh": render(templates, "launch.sh.j2", values),
        "README.md": render(templates, "README.md.j2", values),
    }


def rtx_backend_files(engine: Engine | PendingEngine, release: TritonRelease) -> dict[str, bytes | Path]:
    """The backend `tensorrt_rtx` and the Dockerfile that installs what it needs."""
    version = _rtx_version(engine)
    values: dict[str, TemplateValue] = {
        "container": release.container,
        "tensorrt_rtx": f"tensorrt_rtx=={version}" if version else "tensorrt_rtx",
        "cuda_bindings": f"cuda-bindings=={_CUDA_BINDINGS}",
    }
    backend = triton_folder() / "backends" / "tensorrt_rtx" / "model.py"
    return {
        "backends/tensorrt_rtx/model.py": backend.read_bytes(),
        "backends/tensorrt_rtx/engine_runner.py": RUNNER_FILE.read_bytes(),
        "Dockerfile": render(triton_folder() / "templates", "Dockerfile.j2", values),
    }


def _values(
    problem: Problem, plan: Plan, engine: Engine | PendingEngine, settings: ModelSettings, release: TritonRelease
) -> dict[str, TemplateValue]:
    candidate = plan.candidate
    quantiles = sorted({0.5, 0.95, 0.99, *(target.percentile / 100 for target in problem.latency)})
    return {
        "name": problem.name,
        "target": candidate.hardware_id,
        "precision": candidate.precision.value,
        "engine_name": _ENGINE_NAMES[engine.kind],
        "engine_file": f"model_repository/{problem.name}/1/{ENGINE_FILES[engine.kind]}",
        "engine_key": engine.key,
        "pending_reason": engine.reason if isinstance(engine, PendingEngine) else None,
        "is_cpu": engine.kind == "onnxruntime",
        "is_rtx": engine.kind == "tensorrt_rtx",
        "image": _image(engine, release),
        "release": release.release,
        "server_version": release.server_version,
        "quantiles": ",".join(f"{q:.6g}:{_quantile_error(q):g}" for q in quantiles),
        "replicas": candidate.replicas,
        "redundancy": problem.limits.redundancy,
        "peak": f"{problem.traffic.peak_rps:g}",
        "peak_per_replica": f"{problem.traffic.peak_rps / candidate.replicas:.4g}",
        "instances": settings.instances,
        "max_batch_size": settings.max_batch_size,
        "memory_gib": f"{plan.estimate.memory.total_bytes / 2**30:.2f}",
        "slo": tuple(
            {
                "label": target.label,
                "limit": f"{target.limit_s * 1e3:g} ms",
                "predicted": _predicted(plan, target.label),
            }
            for target in problem.latency
        ),
        "basis": plan.estimate.basis.value,
        "inputs": tuple(_tensor_row(tensor, settings) for tensor in settings.inputs),
        "outputs": tuple(_tensor_row(tensor, settings) for tensor in settings.outputs),
    }


def _image(engine: Engine | PendingEngine, release: TritonRelease) -> str:
    """The image that launch.sh starts: for TensorRT-RTX the one that it builds, named after both versions."""
    if engine.kind != "tensorrt_rtx":
        return release.container
    return f"infc-triton-rtx:{release.release}-{_rtx_version(engine) or 'latest'}"


def _rtx_version(engine: Engine | PendingEngine) -> str:
    return engine.facts.toolchain.get("tensorrt_rtx", "") if isinstance(engine, Engine) else ""


def _quantile_error(quantile: float) -> float:
    return next(error for bound, error in _QUANTILE_ERRORS if quantile >= bound)


def _predicted(plan: Plan, label: str) -> str:
    interval = plan.estimate.e2e_s.get(label)
    if interval is None:
        return "not predicted"
    return f"{interval.value * 1e3:.1f} ms ({interval.low * 1e3:.1f} to {interval.high * 1e3:.1f})"


def _tensor_row(tensor: TritonTensor, settings: ModelSettings) -> dict[str, TemplateValue]:
    dims = ["batch"] if settings.max_batch_size else []
    dims += ["1"] if tensor.is_scalar else [str(axis) for axis in tensor.axes]
    return {
        "name": _table_cell(tensor.name),
        "type": tensor.data_type.removeprefix("TYPE_"),
        "shape": _table_cell("[" + ", ".join(dims) + "]"),
    }


def _table_cell(text: str) -> str:
    # Tensor and axis names come from the model file: nothing of them may end the code span or the table cell.
    return "".join(c if c.isprintable() and c not in "`|" else "?" for c in text)
