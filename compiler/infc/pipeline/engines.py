"""From a decision and its lowered model to the engine: which kind, for which shapes, built by whom."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infc.build import build, builder_for, engine_key, shape_ranges, target_of
from infc.build.builder import Builder, BuildTarget
from infc.build.finished import finished_engine
from infc.diag import Diagnostic, ToolError, has_errors
from infc.emit.release import default_release
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import AnyEngine, BuildRequest, DeviceEngine, LoweredModel, PendingEngine
from infc.ir.engine_kind import EngineChoice, EngineKind
from infc.ir.hardware import Hardware
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import Problem
from infc.lock.values import LockedKind
from infc.spec import Workspace


@dataclass(frozen=True, kw_only=True)
class EngineShop:
    """Where engines come from: the cache and the jobs of a workspace, and the builder of this run.

    `locked_kind` is the kind that the lock must hold, None where nothing is locked.
    """

    cache: Path
    jobs: Path
    builder: Builder
    timeout_s: float
    announce: Callable[[str], None]
    locked_kind: LockedKind | None = None


def engine_shop(
    workspace: Workspace, builder: Builder, timeout_s: float, announce: Callable[[str], None]
) -> EngineShop:
    """The shop of a workspace: `.infc/engines` and `.infc/jobs`."""
    return EngineShop(
        cache=workspace.cache / "engines",
        jobs=jobs_folder(workspace),
        builder=builder,
        timeout_s=timeout_s,
        announce=announce,
    )


def jobs_folder(workspace: Workspace) -> Path:
    """Where jobs are written, and their results looked for, unless the user names another folder."""
    return workspace.cache / "jobs"


def timing_folder(workspace: Workspace) -> Path:
    """Where TensorRT's timing caches are kept between builds."""
    return workspace.cache / "timing"


def pending_toolchains() -> Mapping[EngineKind, Mapping[str, str]]:
    """What must build the engines that this machine writes jobs for: the TensorRT of the pinned Triton release.

    A release is listed by the version of its library; the Python package's has at least three parts.
    """
    parts = default_release().tensorrt.split(".")
    return {"tensorrt": {"tensorrt": ".".join([*parts, "0", "0"][: max(3, len(parts))])}}


def build_planned(
    problem: Problem, plan: Plan, lowered: LoweredModel, shop: EngineShop, *, promised_key: str | None = None
) -> tuple[AnyEngine | None, tuple[Diagnostic, ...]]:
    """The engine of a plan: found, built, or pending when its builder only writes a job for it.

    That of a Jetson module is built on each device: no builder is asked.

    `promised_key` is a key that the lock holds and that counts more than what the builder would make: of an engine that
    was pending, or any key when the lock must hold. It is looked for first, and no builder is asked when it is there.
    """
    request = engine_request(problem, plan, lowered, shop)
    if planned_hardware(problem, plan).kind == "jetson":
        return _device_engine(request), ()
    if promised_key is not None:
        found = finished_engine(request, promised_key, shop.cache, shop.jobs)
        if found is not None:
            shop.announce(f"{found.kind} engine {promised_key[:12]} of the lock is here, built elsewhere or before")
            return found, ()
    shop.announce(f"building the {request.kind} engine for {request.hardware_id}")
    engine, problems = build(request, shop.cache, shop.announce, shop.builder, timeout_s=shop.timeout_s)
    if engine is not None or has_errors(problems):
        return engine, problems
    return _pending(request, shop.builder), problems


def engine_request(problem: Problem, plan: Plan, lowered: LoweredModel, shop: EngineShop) -> BuildRequest:
    """What a builder is asked for a plan."""
    hardware = planned_hardware(problem, plan)
    batching = plan.candidate.batching
    assert isinstance(batching, DynamicBatching)  # noqa: S101 - ONNX models are served by Triton
    return BuildRequest(
        kind=planned_kind(problem.engine, hardware, plan.candidate.precision, shop),
        model=lowered,
        shapes=shape_ranges(problem.model, batching.max_batch_size, problem.traffic.axes),
        hardware_id=hardware.id,
        compute_capability=hardware.compute_capability,
        options=replace(problem.build_options, dla_core=plan.candidate.dla_core),
    )


def planned_kind(choice: EngineChoice, hardware: Hardware, precision: Precision, shop: EngineShop) -> EngineKind:
    """The kind of engine for a device: what the spec says, else TensorRT wherever the builder can make it.

    TensorRT-RTX, which builds without the GPU, is taken where nobody at hand has TensorRT on that device, and where a
    locked compile must come to one.
    """
    kind = builder_for(hardware, choice, precision)
    if choice != "auto" or kind != "tensorrt_rtx" or shop.locked_kind == kind:
        return kind
    target = BuildTarget(kind="tensorrt", hardware_id=hardware.id, compute_capability=hardware.compute_capability)
    return "tensorrt" if _is_taken(shop.builder, target) else kind


def _is_taken(builder: Builder, target: BuildTarget) -> bool:
    """Whether a builder makes such engines and has the tools for it."""
    if builder.refusal(target) is not None:
        return False
    try:
        return bool(builder.toolchain(target))
    except ToolError:
        return False


def planned_hardware(problem: Problem, plan: Plan) -> Hardware:
    """The device of a plan."""
    return next(o.hardware for o in problem.options if o.hardware.id == plan.candidate.hardware_id)


def _device_engine(request: BuildRequest) -> DeviceEngine:
    """The engine as all devices have it in common: which TensorRT builds it, each finds out for itself."""
    return DeviceEngine(
        kind=request.kind,
        key=engine_key(request, {}),
        precision=request.model.precision,
        hardware_id=request.hardware_id,
    )


def _pending(request: BuildRequest, builder: Builder) -> PendingEngine:
    toolchain = builder.toolchain(target_of(request))
    tools = ", ".join(f"{name} {version}" for name, version in sorted(toolchain.items()))
    return PendingEngine(
        kind=request.kind,
        key=engine_key(request, toolchain),
        precision=request.model.precision,
        hardware_id=request.hardware_id,
        reason=f"its job waits for a machine with {request.hardware_id} and {tools}",
    )
