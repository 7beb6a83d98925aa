"""From what a compile holds to a lock entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infc.diag import InternalError
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.candidate import Candidate, ContinuousBatching, DynamicBatching
from infc.ir.engine_kind import ENGINE_NAMES, EngineKind
from infc.ir.estimate import Estimate
from infc.ir.plan import Plan
from infc.lock.document import lock_from_text
from infc.lock.inputs import engine_inputs
from infc.lock.text import text_from_lock
from infc.lock.values import InputDigests, Lock, LockedAccuracy, LockedChoice, LockedEngine, LockedPrediction, LockEntry

if TYPE_CHECKING:  # a plan reads locks without ever holding an engine or a bundle
    from infc.ir.bundle import Bundle
    from infc.ir.engine import Engine, PendingEngine


def entry_from(
    *,
    spec: str,
    profile: str | None,
    inputs: InputDigests,
    plan: Plan,
    engine: Engine | PendingEngine,
    bundle: Bundle,
    digests: Mapping[str, str],
    accuracy: AccuracyEvidence | None,
) -> LockEntry:
    """The entry of one compiled deployment.

    Args:
        spec: the spec's path relative to the lock, POSIX.
        profile: the committed model profile's path relative to the lock, or None.
        inputs: what decided the plan (`input_digests`).
        plan: the decision.
        engine: what was built, or what is pending.
        bundle: what was emitted.
        digests: path -> `sha256:<hex>` of the bundle's files (`emit.manifest.bundle_digests`).
        accuracy: the evidence that the precision was accepted on, None without an accuracy goal.
    """
    from infc.ir.engine import Engine, PendingEngine

    file = engine_file(bundle.name, engine.kind)
    is_repeatable = engine.kind in ("onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt")
    entry = LockEntry(
        name=bundle.name,
        target=bundle.target,
        spec=spec,
        profile=profile,
        inputs=inputs,
        choice=locked_choice(plan.candidate),
        predicted=locked_prediction(plan.estimate),
        accuracy=locked_accuracy(accuracy) if accuracy else None,
        engine=LockedEngine(
            kind=engine.kind,
            inputs=engine_inputs(plan.candidate, inputs),
            key=engine.key,
            file=file,
            is_pending=isinstance(engine, PendingEngine),
            toolchain=dict(sorted(engine.facts.toolchain.items())) if isinstance(engine, Engine) else {},
        ),
        files={path: digest for path, digest in sorted(digests.items()) if is_repeatable or path != file},
    )
    return as_written(entry)


def as_written(entry: LockEntry) -> LockEntry:
    """The entry with its numbers at the precision of the file, so that it equals itself when read back."""
    lock, problems = lock_from_text(text_from_lock(Lock(entries=(entry,))), "infc.lock")
    if lock is None:
        raise InternalError(f"an entry that cannot be read back: {problems[0].message}")
    return lock.entries[0]


def engine_file(name: str, kind: EngineKind) -> str:
    """Where the engine lies in its bundle."""
    return f"model_repository/{name}/1/{ENGINE_NAMES[kind]}"


def locked_choice(candidate: Candidate) -> LockedChoice:
    """The decision as the lock holds it."""
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
    )


def locked_prediction(estimate: Estimate) -> LockedPrediction:
    """The prediction as the lock holds it."""
    cost = estimate.cost
    return LockedPrediction(
        latency_ms={label: interval.value * 1e3 for label, interval in estimate.e2e_s.items()},
        utilization=estimate.utilization,
        throughput_rps=estimate.throughput_rps.value,
        memory_gib=estimate.memory.total_bytes / 2**30,
        power_w=estimate.power_w.value if estimate.power_w else None,
        usd_per_hour=cost.usd_per_hour if cost else None,
        usd_per_month=cost.usd_per_month if cost else None,
        usd_per_million_requests=cost.usd_per_million_requests if cost else None,
        basis=estimate.basis,
    )


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
