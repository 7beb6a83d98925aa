"""From a decision and its lowered model to the engine: which kind, for which shapes, built by whom."""

from collections.abc import Callable
from pathlib import Path

from infc.build import build, builder_for, shape_ranges
from infc.build.builder import Builder
from infc.diag import Diagnostic
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import BuildRequest, Engine, LoweredModel
from infc.ir.hardware import Hardware
from infc.ir.plan import Plan
from infc.ir.problem import Problem


def build_planned(
    problem: Problem,
    plan: Plan,
    lowered: LoweredModel,
    *,
    cache: Path,
    builder: Builder,
    announce: Callable[[str], None],
) -> tuple[Engine | None, tuple[Diagnostic, ...]]:
    """The engine of a plan, from the cache of engines or built by `builder`."""
    request = engine_request(problem, plan, lowered)
    announce(f"building the {request.kind} engine for {request.hardware_id}")
    return build(request, cache, announce, builder)


def engine_request(problem: Problem, plan: Plan, lowered: LoweredModel) -> BuildRequest:
    """What a builder is asked for a plan."""
    hardware = planned_hardware(problem, plan)
    batching = plan.candidate.batching
    assert isinstance(batching, DynamicBatching)  # noqa: S101 - ONNX models are served by Triton
    return BuildRequest(
        kind=builder_for(hardware),
        model=lowered,
        shapes=shape_ranges(problem.model, batching.max_batch_size, problem.traffic.axes),
        hardware_id=hardware.id,
        compute_capability=hardware.compute_capability,
        options=problem.build_options,
    )


def planned_hardware(problem: Problem, plan: Plan) -> Hardware:
    """The device of a plan."""
    return next(o.hardware for o in problem.options if o.hardware.id == plan.candidate.hardware_id)
