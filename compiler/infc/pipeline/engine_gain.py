"""What builders reported, kept for the plan; and an unquantised engine beside every quantised one, to compare.

A quantised precision is planned because it should be faster. Whether its engine is, shows only once it is built: then
the same model is built unquantised for the same shapes too (in a second or so, or from the cache), and the next plan
knows both (`plan.gain`).
"""

from typing import TYPE_CHECKING

from infc.ir.candidate import DynamicBatching
from infc.ir.engine import Engine
from infc.ir.engine_evidence import EngineEvidence
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.lower import lower, settings_for
from infc.perf import kernel_work
from infc.pipeline.calibration_data import calibration_for
from infc.pipeline.engines import build_planned, planned_hardware
from infc.plan.built import maximum_elements
from infc.plan.evidence import QUANTISED
from infc.plan.gain import plain_precisions
from infc.plan.site import planned_axes
from infc.plan.space import allowed_precisions
from infc.resolve.store import engine_identity, engine_name

if TYPE_CHECKING:
    from infc.pipeline.settle import Workshop


def known_engines(problem: Problem, plan: Plan, engine: Engine | None, shop: "Workshop") -> tuple[EngineEvidence, ...]:
    """All that is known of engines of the model now that one was built for a plan; what is new is stored.

    Engines whose builder states no memory (ONNX Runtime) leave no evidence. A locked compile stores nothing.
    """
    own = None if engine is None else evidence_from(problem, plan, engine)
    if own is None:
        return problem.engines
    fresh = [own]
    if own.precision in QUANTISED and own.moved_bytes is not None:
        plain = _plain_engine(problem, plan, shop)
        other = None if plain is None else evidence_from(problem, plan, plain)
        fresh += [] if other is None else [other]
    if not shop.is_read_only:
        for evidence in fresh:
            shop.store.add_engine(evidence)
    known = {engine_identity(evidence): evidence for evidence in (*problem.engines, *fresh)}
    return tuple(sorted(known.values(), key=engine_name))


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


def _plain_engine(problem: Problem, plan: Plan, shop: "Workshop") -> Engine | None:
    """The model built unquantised for the plan's shapes; None where nothing unquantised could be taken instead."""
    hardware = planned_hardware(problem, plan)
    work = kernel_work(problem.model, planned_axes(problem))
    allowed = allowed_precisions(problem, is_cpu=hardware.kind == "cpu")
    precision = next(iter(plain_precisions(problem, hardware, allowed, work)), None)
    calibration, _ = calibration_for(problem, shop.loaded, shop.spec)
    if precision is None:
        return None
    settings = settings_for(hardware.kind, method=shop.spec.quantization.method)
    cache = shop.loaded.workspace.cache
    shop.announce(f"comparing with {precision.value}: what {plan.candidate.precision.value} gains on {hardware.id}")
    lowered, _ = lower(shop.source, problem.model, precision, calibration, settings, cache / "lowered")
    if lowered is None:
        return None
    engine, _ = build_planned(problem, plan, lowered, shop.engines)
    return engine if isinstance(engine, Engine) else None
