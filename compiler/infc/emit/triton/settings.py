"""What config.pbtxt will say, as a value: every choice once, for the protobuf, the comments and the tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from infc.build.server_settings import onnxruntime_settings
from infc.build.torch_target import torch_parameters
from infc.diag import Diagnostic, InternalError
from infc.emit.triton.tensors import TritonTensor, triton_tensors
from infc.emit.triton.warmup import WarmupSample, warmup_samples
from infc.ir.candidate import Candidate, DynamicBatching
from infc.ir.engine import AnyEngine, DeviceEngine, Engine
from infc.ir.engine_kind import EngineKind
from infc.ir.plan import Plan
from infc.ir.problem import Problem

QUEUE_TIMEOUT_NEVER_S = 10.0
"""A queue timeout that no request of a working server reaches; the action is DELAY, so that none is ever refused."""

THREADS = 1
"""Threads of one ONNX Runtime instance: concurrency comes from instances, as in the measurements that plans rest on."""

ENGINE_PARAMETER = "infc-engine"
"""Model parameter that holds the engine's key: backends ignore it, and a running server shows it (`infc drift`)."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Choices of one model's config.pbtxt. `max_batch_size` 0: Triton does not batch, shapes are whole.

    `batching` is None where there is nothing to batch. `queue_timeout_us` is set where prefetch is turned off.
    `parameters` are the backend's own; `graph_level` (0: the backend's default) and `accelerator`, the parameters of
    the TensorRT execution provider, are for ONNX Runtime. `engine_key` names the engine to who asks the server, None
    where a device builds its own.
    """

    name: str
    engine_kind: EngineKind
    is_cpu: bool
    max_batch_size: int
    inputs: tuple[TritonTensor, ...]
    outputs: tuple[TritonTensor, ...]
    batching: DynamicBatching | None
    queue_timeout_us: int | None
    instances: int
    warmup: tuple[WarmupSample, ...]
    parameters: Mapping[str, str]
    graph_level: int
    accelerator: Mapping[str, str]
    engine_key: str | None = None


def model_settings(
    problem: Problem, plan: Plan, engine: AnyEngine
) -> tuple[ModelSettings | None, tuple[Diagnostic, ...]]:
    """The settings of `plan` for Triton, or what stands in the way."""
    return candidate_settings(problem, plan.candidate, engine)


def candidate_settings(
    problem: Problem, candidate: Candidate, engine: AnyEngine
) -> tuple[ModelSettings | None, tuple[Diagnostic, ...]]:
    """The settings of a decision by itself, such as a locked one."""
    if not isinstance(candidate.batching, DynamicBatching):
        raise InternalError(f"a Triton plan needs dynamic batching, not {type(candidate.batching).__name__}")
    inputs, outputs, problems = triton_tensors(problem.model)
    if problems:
        return None, problems
    is_batched = problem.model.batch_axis is not None
    chosen = candidate.batching
    has_batcher = is_batched and chosen.max_batch_size > 1
    sizes = (1, *chosen.preferred_batch_sizes, chosen.max_batch_size) if is_batched else (1,)
    is_cpu = _is_cpu(problem, candidate, engine.kind)
    runtime = None
    parameters: Mapping[str, str] = {}
    if isinstance(engine, Engine) and engine.kind in ("onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt"):
        runtime = onnxruntime_settings(engine, threads=THREADS)
        parameters = runtime.parameters if is_cpu else {}
    if isinstance(engine, Engine) and engine.kind == "torch_inductor":
        parameters = torch_parameters(engine)
    return ModelSettings(
        name=problem.name,
        engine_kind=engine.kind,
        is_cpu=is_cpu,
        max_batch_size=chosen.max_batch_size if is_batched else 0,
        inputs=inputs,
        outputs=outputs,
        batching=chosen if has_batcher else None,
        queue_timeout_us=_queue_timeout_us(problem) if has_batcher and not chosen.has_prefetch else None,
        instances=candidate.instances_per_gpu,
        warmup=warmup_samples(inputs, sizes, problem.traffic.axes),
        parameters=parameters,
        graph_level=runtime.graph_level if runtime else 0,
        accelerator=runtime.accelerator if runtime else {},
        engine_key=None if isinstance(engine, DeviceEngine) else engine.key,
    ), ()


def _is_cpu(problem: Problem, candidate: Candidate, kind: EngineKind) -> bool:
    """Whether the engine runs on the CPU: ONNX Runtime's CPU provider always does, torch where it was planned."""
    match kind:
        case "onnxruntime":
            return True
        case "torch_inductor":
            return any(
                option.hardware.id == candidate.hardware_id and option.hardware.kind == "cpu"
                for option in problem.options
            )
        case "tensorrt" | "tensorrt_rtx" | "onnxruntime_cuda" | "onnxruntime_tensorrt":
            return False
        case _:
            assert_never(kind)


def _queue_timeout_us(problem: Problem) -> int:
    slowest_s = max((target.limit_s for target in problem.latency), default=0.0)
    return round(max(QUEUE_TIMEOUT_NEVER_S, 100 * slowest_s) * 1e6)
