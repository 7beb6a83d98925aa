"""Text files of the bundle: how to start it, and what it is."""

from collections.abc import Mapping

from infc.build.server_settings import ENGINE_CACHE
from infc.emit.release import TritonRelease, triton_folder
from infc.emit.templates import TemplateValue, render
from infc.emit.triton.first_request import first_request
from infc.emit.triton.launch import PROGRAM, argument_lines, brings_its_runtime, server_image
from infc.emit.triton.own_backends import own_backend_of
from infc.emit.triton.settings import ModelSettings
from infc.emit.triton.tensors import TritonTensor
from infc.ir.engine import Engine, PendingEngine
from infc.ir.engine_kind import ENGINE_NAMES, EngineKind
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.ir.shadow import FOLDER, FOLDER_BYTES, reference_name, shadow_name

ENGINE_TITLES: Mapping[EngineKind, str] = {
    "tensorrt": "TensorRT",
    "tensorrt_rtx": "TensorRT-RTX",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime_cuda": "ONNX Runtime with its CUDA provider",
    "onnxruntime_tensorrt": "ONNX Runtime with its TensorRT provider",
    "torch_inductor": "torch.compile (AOTInductor)",
}
"""Kinds of engines in words."""


def text_files(
    problem: Problem,
    plan: Plan,
    engine: Engine | PendingEngine,
    settings: ModelSettings,
    release: TritonRelease,
    flavor: str | None = None,
) -> dict[str, bytes]:
    """`launch.sh` and `README.md`; `flavor` is that of the Kubernetes objects beside them, None without any."""
    templates = triton_folder() / "templates"
    values = {**_values(problem, plan, engine, settings, release), "flavor": flavor}
    return {
        "launch.sh": render(templates, "launch.sh.j2", values),
        "README.md": render(templates, "README.md.j2", values),
    }


def _values(
    problem: Problem, plan: Plan, engine: Engine | PendingEngine, settings: ModelSettings, release: TritonRelease
) -> dict[str, TemplateValue]:
    candidate = plan.candidate
    own = own_backend_of(engine.kind)
    first, *others = argument_lines(problem, engine)
    return {
        "name": problem.name,
        "target": candidate.hardware_id,
        "precision": candidate.precision.value,
        "engine_name": ENGINE_TITLES[engine.kind],
        "engine_file": f"model_repository/{problem.name}/1/{ENGINE_NAMES[engine.kind]}",
        "engine_key": engine.key,
        "pending_reason": engine.reason if isinstance(engine, PendingEngine) else None,
        "kind": engine.kind,
        "brings_its_runtime": brings_its_runtime(problem, engine),
        "is_cpu": settings.is_cpu,
        "own_backend": own.title if own else None,
        "driver_note": own.driver_note if own and not settings.is_cpu else None,
        "engine_cache": f"infc-engines-{problem.name}" if settings.accelerator else None,
        "engine_cache_path": ENGINE_CACHE,
        "image": server_image(engine, release),
        "release": release.release,
        "server_version": release.server_version,
        "command": (f"{PROGRAM} {' '.join(first)}", *(" ".join(line) for line in others)),
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
        "shadow": _shadow_values(problem),
        "first_request": first_request(
            problem.name,
            settings.inputs,
            settings.outputs,
            problem.traffic.axes,
            is_batched=bool(settings.max_batch_size),
        ),
        "inputs": tuple(_tensor_row(tensor, settings) for tensor in settings.inputs),
        "outputs": tuple(_tensor_row(tensor, settings) for tensor in settings.outputs),
    }


def _shadow_values(problem: Problem) -> dict[str, TemplateValue] | None:
    goal = problem.shadow
    if goal is None:
        return None
    return {
        "folder": FOLDER,
        "megabytes": FOLDER_BYTES >> 20,
        "one_in": f"{goal.one_in:,}",
        "capture": f"{goal.capture_s * 1e3:.2g} ms",
        "min_agreement": f"{goal.min_agreement * 100:g}%",
        "reference": reference_name(problem.name),
        "program": shadow_name(problem.name),
    }


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
