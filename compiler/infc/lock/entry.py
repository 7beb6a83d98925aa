"""From what a compile holds to a lock entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infc.diag import InternalError
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.candidate import Candidate, ContinuousBatching, DynamicBatching
from infc.ir.engine_kind import ENGINE_NAMES, EngineKind
from infc.ir.estimate import Estimate
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, LlmProblem
from infc.lock.document import lock_from_text
from infc.lock.inputs import checkpoint_inputs, digest_of, engine_inputs
from infc.lock.text import text_from_lock
from infc.lock.values import (
    InputDigests,
    Lock,
    LockedAccuracy,
    LockedChoice,
    LockedEngine,
    LockedPrediction,
    LockedRelease,
    LockEntry,
)

if TYPE_CHECKING:  # a plan reads locks without ever holding an engine or a bundle
    from infc.ir.checkpoint import Checkpoint
    from infc.ir.engine import AnyEngine

_MODEL_FOLDER = "model"
"""Where a bundle holds a checkpoint."""


def entry_from(
    *,
    name: str,
    target: str,
    spec: str,
    profile: str | None,
    inputs: InputDigests,
    problem: AnyProblem,
    plan: Plan,
    engine: LockedEngine,
    files: Mapping[str, str],
    accuracy: AccuracyEvidence | None,
    release: LockedRelease | None = None,
) -> LockEntry:
    """The entry of one compiled deployment.

    Args:
        name: the spec's name.
        target: the device, as its bundle or the plan calls it.
        spec: the spec's path relative to the lock, POSIX.
        profile: the committed model profile's path relative to the lock, or None.
        inputs: what decided the plan (`input_digests`).
        problem: what the plan was made for.
        plan: the decision.
        engine: what was built, or what is pending (`locked_engine`, `locked_checkpoint`).
        files: path -> `sha256:<hex>` of the bundle's files whose bytes repeat (`repeatable_files`).
        accuracy: the evidence that the precision was accepted on, None without an accuracy goal.
        release: what edge devices get, None where nothing is sent to devices.
    """
    entry = LockEntry(
        name=name,
        target=target,
        spec=spec,
        profile=profile,
        inputs=inputs,
        choice=locked_choice(problem, plan.candidate),
        predicted=locked_prediction(plan.estimate),
        accuracy=locked_accuracy(accuracy) if accuracy else None,
        engine=engine,
        files=dict(sorted(files.items())),
        release=release,
    )
    return as_written(entry)


def locked_engine(name: str, engine: AnyEngine, candidate: Candidate, inputs: InputDigests) -> LockedEngine:
    """The engine of an ONNX model as the lock holds it; `name` is the bundle's. One that devices build has no file."""
    from infc.ir.engine import DeviceEngine, Engine, PendingEngine

    return LockedEngine(
        kind=engine.kind,
        inputs=engine_inputs(candidate, inputs),
        key=engine.key,
        file=None if isinstance(engine, DeviceEngine) else engine_file(name, engine.kind),
        is_pending=isinstance(engine, PendingEngine),
        toolchain=dict(sorted(engine.facts.toolchain.items())) if isinstance(engine, Engine) else {},
    )


def locked_checkpoint(checkpoint: Checkpoint, candidate: Candidate, inputs: InputDigests) -> LockedEngine:
    """The checkpoint of a language model as the lock holds it.

    A quantised one goes by what it was made from and how, because its bytes may differ between machines. The key of one
    that waits for its weights is not known.
    """
    made = (checkpoint.source_digest, checkpoint.recipe_digest)
    key = digest_of(made).removeprefix("sha256:") if checkpoint.recipe_digest else checkpoint.digest
    return LockedEngine(
        kind="checkpoint",
        inputs=checkpoint_inputs(candidate, inputs),
        key=None if checkpoint.is_pending else key,
        file=None if checkpoint.folder is None else _MODEL_FOLDER,
        is_pending=checkpoint.is_pending,
        toolchain=dict(sorted(checkpoint.toolchain.items())),
    )


def pending_checkpoint(problem: LlmProblem, candidate: Candidate, inputs: InputDigests) -> LockedEngine:
    """The checkpoint of a plan that was not compiled."""
    return LockedEngine(
        kind="checkpoint",
        inputs=checkpoint_inputs(candidate, inputs),
        key=None,
        file=None if problem.source.checkpoint is None else _MODEL_FOLDER,
        is_pending=True,
        toolchain={},
    )


def repeatable_files(digests: Mapping[str, str], made: AnyEngine | Checkpoint) -> dict[str, str]:
    """The digests of a bundle's files, but those of files whose bytes do not repeat: their key stands for them."""
    from infc.ir.checkpoint import Checkpoint

    if isinstance(made, Checkpoint):
        return {p: d for p, d in digests.items() if not (made.recipe_digest and p.startswith(f"{_MODEL_FOLDER}/"))}
    is_repeatable = made.kind in ("onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt")
    name = ENGINE_NAMES[made.kind]
    return {p: d for p, d in digests.items() if is_repeatable or not p.endswith(f"/1/{name}")}


def as_written(entry: LockEntry) -> LockEntry:
    """The entry with its numbers at the precision of the file, so that it equals itself when read back."""
    lock, problems = lock_from_text(text_from_lock(Lock(entries=(entry,))), "infc.lock")
    if lock is None:
        raise InternalError(f"an entry that cannot be read back: {problems[0].message}")
    return lock.entries[0]


def engine_file(name: str, kind: EngineKind) -> str:
    """Where the engine lies in its bundle."""
    return f"model_repository/{name}/1/{ENGINE_NAMES[kind]}"


def locked_choice(problem: AnyProblem, candidate: Candidate) -> LockedChoice:
    """The decision as the lock holds it."""
    source = problem.source if isinstance(problem, LlmProblem) else None
    dynamic = candidate.batching if isinstance(candidate.batching, DynamicBatching) else None
    continuous = candidate.batching if isinstance(candidate.batching, ContinuousBatching) else None
    if dynamic is None and continuous is None:
        raise InternalError("a candidate without batching")
    return LockedChoice(
        server=candidate.server,
        hardware=candidate.hardware_id,
        power_mode=candidate.power_mode,
        precision=candidate.precision,
        tensor_parallel=candidate.tensor_parallel,
        instances_per_gpu=candidate.instances_per_gpu,
        max_batch_size=dynamic.max_batch_size if dynamic else None,
        max_queue_delay_us=round(dynamic.max_queue_delay_s * 1e6) if dynamic else None,
        preferred_batch_sizes=dynamic.preferred_batch_sizes if dynamic else (),
        prefetch=dynamic.has_prefetch if dynamic else None,
        max_num_seqs=continuous.max_num_seqs if continuous else None,
        max_num_batched_tokens=continuous.max_num_batched_tokens if continuous else None,
        replicas=candidate.replicas,
        pipeline_parallel=candidate.pipeline_parallel,
        max_model_len=continuous.max_model_len if continuous else None,
        kv_precision=continuous.kv_precision if continuous else None,
        gpu_memory_utilization=continuous.gpu_memory_utilization if continuous else None,
        kv_cache_memory_bytes=continuous.kv_cache_memory_bytes if continuous else None,
        prefix_caching=continuous.has_prefix_caching if continuous else None,
        chunked_prefill=continuous.has_chunked_prefill if continuous else None,
        long_prefill_tokens=continuous.long_prefill_tokens if continuous else None,
        speculation=continuous.speculation if continuous else None,
        model=(source.repo or source.checkpoint) if source else None,
        revision=source.revision if source else None,
        model_name=candidate.model,
        dla_core=candidate.dla_core,
    )


def locked_prediction(estimate: Estimate) -> LockedPrediction:
    """The prediction as the lock holds it."""
    cost, tokens = estimate.cost, estimate.tokens
    return LockedPrediction(
        latency_ms=_in_ms(estimate.e2e_s),
        ttft_ms=_in_ms(tokens.ttft_s) if tokens else {},
        tpot_ms=_in_ms(tokens.tpot_s) if tokens else {},
        output_tokens_per_s=tokens.output_tokens_per_s.value if tokens else None,
        kv_cache_tokens=tokens.kv_cache_tokens if tokens else None,
        usd_per_million_tokens=cost.usd_per_million_tokens if cost else None,
        utilization=estimate.utilization,
        throughput_rps=estimate.throughput_rps.value,
        memory_gib=estimate.memory.total_bytes / 2**30,
        power_w=estimate.power_w.value if estimate.power_w else None,
        usd_per_hour=cost.usd_per_hour if cost else None,
        usd_per_month=cost.usd_per_month if cost else None,
        usd_per_million_requests=cost.usd_per_million_requests if cost else None,
        basis=estimate.basis,
    )


def _in_ms(latency_s: Mapping[str, Interval]) -> dict[str, float]:
    return {label: interval.value * 1e3 for label, interval in latency_s.items()}


def locked_accuracy(evidence: AccuracyEvidence) -> LockedAccuracy:
    """The evidence as the lock holds it."""
    return LockedAccuracy(
        metric=evidence.metric,
        value=evidence.value.value,
        drop=evidence.drop.value,
        samples=evidence.samples,
        confidence=evidence.confidence,
        subject=evidence.subject,
        verdict=evidence.verdict,
        worst_slice=evidence.slices[0].name if evidence.slices else None,
        worst_slice_drop=evidence.slices[0].drop.value if evidence.slices else None,
        raised=_raised(evidence),
    )


def _raised(evidence: AccuracyEvidence) -> dict[str, float]:
    shares = {each.name: each.error_share for each in evidence.search.raised} if evidence.search else {}
    return {name: shares.get(name, 0.0) for name in evidence.kept}
