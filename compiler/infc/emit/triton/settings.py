"""What config.pbtxt will say, as a value: every choice once, for the protobuf, the comments and the tests."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.build.server_settings import onnxruntime_settings
from infc.diag import Diagnostic, InternalError
from infc.emit.triton.tensors import TritonTensor, triton_tensors
from infc.emit.triton.warmup import WarmupSample, warmup_samples
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import Engine, PendingEngine
from infc.ir.engine_kind import EngineKind
from infc.ir.plan import Plan
from infc.ir.problem import Problem

ENGINE_FILES: Mapping[EngineKind, str] = {
    "tensorrt": "model.plan",
    "tensorrt_rtx": "model.plan",
    "onnxruntime": "model.onnx",
}
QUEUE_TIMEOUT_NEVER_S = 10.0
"""A queue timeout that no request of a working server reaches; the action is DELAY, so that none is ever refused."""

THREADS = 1
"""Threads of one ONNX Runtime instance: concurrency comes from instances, as in the measurements that plans rest on."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Choices of one model's config.pbtxt. `max_batch_size` 0: Triton does not batch, shapes are whole.

    `batching` is None where there is nothing to batch. `queue_timeout_us` is set where prefetch is turned off.
    `parameters` and `graph_level` (0: the backend's default) are for ONNX Runtime on the CPU.
    """

    name: str
    engine_kind: EngineKind
    max_batch_size: int
    inputs: tuple[TritonTensor, ...]
    outputs: tuple[TritonTensor, ...]
    batching: DynamicBatching | None
    queue_timeout_us: int | None
    instances: int
    warmup: tuple[WarmupSample, ...]
    parameters: Mapping[str, str]
    graph_level: int


def model_settings(
    problem: Problem, plan: Plan, engine: Engine | PendingEngine
) -> tuple[ModelSettings | None, tuple[Diagnostic, ...]]:
    """The settings of `plan` for Triton, or what stands in the way."""
    candidate = plan.candidate
    if not isinstance(candidate.batching, DynamicBatching):
        raise InternalError(f"a Triton plan needs dynamic batching, not {type(candidate.batching).__name__}")
    inputs, outputs, problems = triton_tensors(problem.model)
    if problems:
        return None, problems
    is_batched = problem.model.batch_axis is not None
    chosen = candidate.batching
    has_batcher = is_batched and chosen.max_batch_size > 1
    sizes = (1, *chosen.preferred_batch_sizes, chosen.max_batch_size) if is_batched else (1,)
    runtime = None
    if isinstance(engine, Engine) and engine.kind == "onnxruntime":
        runtime = onnxruntime_settings(engine, threads=THREADS)
    return ModelSettings(
        name=problem.name,
        engine_kind=engine.kind,
        max_batch_size=chosen.max_batch_size if is_batched else 0,
        inputs=inputs,
        outputs=outputs,
        batching=chosen if has_batcher else None,
        queue_timeout_us=_queue_timeout_us(problem) if has_batcher and not chosen.has_prefetch else None,
        instances=candidate.instances_per_gpu,
        warmup=warmup_samples(inputs, sizes, problem.traffic.axes),
        parameters=runtime.parameters if runtime else {},
        graph_level=runtime.graph_level if runtime else 0,
    ), ()


def _queue_timeout_us(problem: Problem) -> int:
    slowest_s = max((target.limit_s for target in problem.latency), default=0.0)
    return round(max(QUEUE_TIMEOUT_NEVER_S, 100 * slowest_s) * 1e6)
