"""What builders reported, kept for the plan; and an unquantised engine beside every quantised one, to compare.

A quantised precision is planned because it should be faster. Whether its engine is, shows only once it is built: then
the same model is built unquantised for the same shapes too (in a second or so, or from the cache), and the next plan
knows both (`plan.gain`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from infc.diag import Diagnostic
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import Engine
from infc.ir.engine_evidence import EngineEvidence
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import Problem
from infc.lower.lowering import lower
from infc.lower.settings import settings_for
from infc.perf import kernel_work
from infc.pipeline.calibration_data import calibration_for
from infc.pipeline.engines import build_planned, planned_hardware, planned_kind
from infc.plan import solve
from infc.plan.built import built_engines, maximum_elements
from infc.plan.evidence import QUANTISED
from infc.plan.gain import plain_precisions
from infc.plan.site import planned_axes
from infc.plan.space import allowed_precisions
from infc.resolve.store import engine_identity, engine_name

if TYPE_CHECKING:
    from infc.pipeline.workshop import Workshop

REFUSALS = ("build-precision-ignored", "build-precision-unsupported", "lower-nothing-quantised")
"""Diagnostics which say that a precision does not exist for a model on a device."""


def known_engines(problem: Problem, plan: Plan, engine: Engine | None, shop: "Workshop") -> tuple[EngineEvidence, ...]:
    """All that is known of engines of the model now that one was built for a plan; what is new is stored.

    Engines whose builder states no memory (ONNX Runtime) leave no evidence. A locked compile stores nothing; where the
    lock says that the engine is pending, it does not count what is learnt of it either.
    """
    own = None if engine is None or shop.keeps_pending else evidence_from(problem, plan, engine)
    if own is None:
        return problem.engines
    fresh = [own]
    if own.precision in QUANTISED and own.moved_bytes is not None:
        plain = _plain_engine(problem, plan, own, shop)
        other = None if plain is None else evidence_from(problem, plan, plain)
        fresh += [] if other is None else [other]
    if not shop.is_read_only:
        for evidence in fresh:
            shop.store.add_engine(evidence)
    known = {engine_identity(evidence): evidence for evidence in (*problem.engines, *fresh)}
    return tuple(sorted(known.values(), key=engine_name))


def with_refusal(
    problem: Problem, plan: Plan, recipe_digest: str, diagnostics: Sequence[Diagnostic], shop: "Workshop"
) -> tuple[EngineEvidence, ...] | None:
    """All that is known of engines now that a builder refused the planned precision for its device.

    None when the build failed for another reason, or when nothing else could be planned: then the refusal is the end.
    """
    hardware = planned_hardware(problem, plan)
    refusal = next((d for d in diagnostics if d.id in REFUSALS), None)
    if refusal is None or hardware.compute_capability is None:
        return None
    evidence = EngineEvidence(
        model_digest=problem.model.digest,
        precision=plan.candidate.precision,
        recipe_digest=recipe_digest,
        kind=planned_kind(problem.engine, hardware, plan.candidate.precision, shop.engines),
        compute_capability=hardware.compute_capability,
        max_batch_size=1,
        maximum_elements=0,
        activation_bytes=0,
        weight_bytes=0,
        layer_types=(),
        refusal="; ".join((refusal.message, *refusal.notes[:1])),
    )
    known = tuple(sorted((*problem.engines, evidence), key=engine_name))
    if isinstance(solve(replace(problem, engines=known)), Infeasible):
        return None
    if not shop.is_read_only:
        shop.store.add_engine(evidence)
    return known


def engine_reasons(decision: Plan, before: Plan) -> tuple[str, ...]:
    """Why the place of an earlier plan is out of a new one, where an engine that was built or refused is the reason."""
    place = f"{before.candidate.precision.value}/{before.candidate.target}"
    return tuple(
        f"{rejection.candidate} is out ({rejection.constraint}): {rejection.predicted}"
        for rejection in decision.rejections
        if rejection.constraint in ("gain", "build") and rejection.candidate in (place, place.partition("@")[0])
    )


def evidence_from(problem: Problem, plan: Plan, engine: Engine) -> EngineEvidence | None:
    """What is kept of an engine that was built for a plan; None where its builder does not state its memory."""
    hardware, facts, batching = planned_hardware(problem, plan), engine.facts, plan.candidate.batching
    if hardware.compute_capability is None or facts.activation_bytes is None or facts.weight_bytes is None:
        return None
    assert isinstance(batching, DynamicBatching)  # noqa: S101 - ONNX models are served by Triton
    types: dict[str, int] = {}
    for layer in facts.layers:
        types[layer.dtype] = types.get(layer.dtype, 0) + 1
    return EngineEvidence(
        model_digest=problem.model.digest,
        precision=engine.precision,
        recipe_digest=engine.recipe_digest,
        kind=engine.kind,
        compute_capability=hardware.compute_capability,
        max_batch_size=batching.max_batch_size,
        maximum_elements=maximum_elements(problem.model, batching.max_batch_size, planned_axes(problem)),
        activation_bytes=facts.activation_bytes,
        weight_bytes=facts.weight_bytes,
        layer_types=tuple(sorted(types.items())),
        moved_bytes=facts.moved_bytes,
    )


def _plain_engine(problem: Problem, plan: Plan, quantised: EngineEvidence, shop: "Workshop") -> Engine | None:
    """The model built unquantised for the plan's shapes.

    None where one is known already, and where nothing unquantised could be taken instead.
    """
    hardware = planned_hardware(problem, plan)
    work = kernel_work(problem.model, planned_axes(problem))
    allowed = allowed_precisions(problem, is_cpu=hardware.kind == "cpu")
    precision = next(iter(plain_precisions(problem, hardware, allowed, work)), None)
    calibration, _ = calibration_for(shop.loaded, shop.spec, problem.model.inputs)
    if precision is None:
        return None
    for known in built_engines(problem, hardware, precision, planned_axes(problem)):
        if (known.kind, known.max_batch_size) == (quantised.kind, quantised.max_batch_size):
            return None
    settings = settings_for(hardware.kind, method=shop.spec.quantization.method, choice=problem.engine)
    cache = shop.loaded.workspace.cache
    shop.announce(f"comparing with {precision.value}: what {plan.candidate.precision.value} gains on {hardware.id}")
    lowered, _ = lower(shop.source, problem.model, precision, calibration, settings, cache / "lowered")
    if lowered is None:
        return None
    engine, _ = build_planned(problem, plan, lowered, shop.engines)
    return engine if isinstance(engine, Engine) else None
