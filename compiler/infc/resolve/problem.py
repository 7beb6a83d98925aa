"""From a loaded spec to the planner's problem: every default resolved once, joined with model, devices and prices."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from infc.diag import Diagnostic, Severity, Span, has_errors
from infc.diag.nearest import did_you_mean
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.arrival import (
    DAY_S,
    Arrival,
    BurstyArrival,
    ConstantArrival,
    DiurnalArrival,
    PoissonArrival,
    at_peak,
    diurnal_multipliers,
)
from infc.ir.build_options import BuildOptions
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.ir.problem import (
    AccuracyGoal,
    AnyProblem,
    AxisDistribution,
    BaseProblem,
    HardwareOption,
    LatencyTarget,
    Limits,
    LlmProblem,
    Origin,
    Problem,
    Traffic,
)
from infc.ir.spec import BurstySpec, ConstantSpec, DiurnalShape, DiurnalSpec, OnnxModel, Spec, TraceSpec
from infc.resolve.jetson_setup import jetson_problems
from infc.resolve.model import model_profile
from infc.resolve.object_names import object_name_problems
from infc.resolve.pricing import priced_option
from infc.resolve.shadow import shadow_goal
from infc.resolve.store import ProfileStore
from infc.resolve.targets import Catalogue
from infc.spec import LoadedSpec, check_hardware_names

DEFAULTED_PATHS = (
    "workload.peak",
    "workload.arrival",
    "constraints.hardware",
    "constraints.precision",
    "constraints.redundancy",
    "objective",
    "pricing.provider",
    "pricing.commitment",
    "deploy.server",
    "accuracy.confidence",
)
"""Spec paths whose origin a problem records: written by the user, or a default."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The problems of one spec: the free choice, and one for each of `deploy.targets`, restricted to it."""

    problem: AnyProblem
    targets: Mapping[str, AnyProblem]


def resolve_problem(
    loaded: LoadedSpec, catalogue: Catalogue, store: ProfileStore, *, locked_digest: str | None = None
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """The problems of a valid spec, or the diagnostics of what stands in the way.

    `locked_digest` lets a stored profile stand in for an absent model file.

    Raises:
        ToolError: the model must be analysed and the extra `onnx` is not installed.
    """
    spec = loaded.spec
    if spec is None:
        return None, ()
    found = [
        *check_hardware_names(loaded, catalogue),
        *jetson_problems(loaded, spec),
        *object_name_problems(loaded, catalogue),
    ]
    if has_errors(found):
        return None, tuple(found)
    problem: AnyProblem | None
    if isinstance(spec.model, OnnxModel):
        problem, problems = _onnx_problem(loaded, spec, spec.model, catalogue, store, locked_digest)
    else:
        problem, problems = _llm_problem(loaded, spec, catalogue, store, locked_digest)
    found += problems
    if problem is None or has_errors(found):
        return None, tuple(found)
    targets = {name: _restricted(problem, catalogue, spec, name) for name in spec.deploy.targets}
    found += _notes(loaded, spec)
    return Resolved(problem=problem, targets=targets), tuple(found)


def _onnx_problem(
    loaded: LoadedSpec,
    spec: Spec,
    source: OnnxModel,
    catalogue: Catalogue,
    store: ProfileStore,
    locked_digest: str | None,
) -> tuple[Problem | None, tuple[Diagnostic, ...]]:
    model, problems = model_profile(loaded.file(source.onnx), store, locked_digest)
    found = [*_placed(problems, loaded.span("model.onnx"))]
    if model is None:
        return None, tuple(found)
    found += _axis_problems(loaded, spec, model)
    if has_errors(found):
        return None, tuple(found)
    problem = _problem(loaded, spec, model, catalogue, store)
    shadow, problems = shadow_goal(loaded, spec, model, problem.traffic)
    found += problems
    return None if has_errors(found) else replace(problem, shadow=shadow), tuple(found)


def _llm_problem(
    loaded: LoadedSpec, spec: Spec, catalogue: Catalogue, store: ProfileStore, locked_digest: str | None
) -> tuple[LlmProblem | None, tuple[Diagnostic, ...]]:
    from infc.resolve.llm_problem import language_models, llm_problem  # a plan of an ONNX model needs none of it

    models, found = language_models(loaded, spec, store, locked_digest)
    if not models:
        return None, found
    first, *others = (
        llm_problem(_base_problem(loaded, spec, catalogue, store, model.digest), loaded, spec, source, model, store)
        for source, model in models
    )
    return replace(first, alternatives=tuple(others)), found


def _problem(loaded: LoadedSpec, spec: Spec, model: ModelProfile, catalogue: Catalogue, store: ProfileStore) -> Problem:
    base = _base_problem(loaded, spec, catalogue, store, model.digest)
    measurements = store.service_times(model.digest)
    unmeasured = {option.hardware.id for option in base.options} - {m.hardware_id for m in measurements}
    return Problem(
        **{field.name: getattr(base, field.name) for field in fields(BaseProblem)},
        model=model,
        latency=tuple(
            LatencyTarget(percentile=percentile, limit_s=limit, span=loaded.span(f"slo.latency.p{percentile:g}"))
            for percentile, limit in sorted((spec.slo.latency or {}).items())
        ),
        measurements=measurements,
        neighbours=store.neighbours(model.digest, unmeasured),
        build_options=_build_options(spec),
        engine=spec.build.engine,
        engines=store.engines(model.digest),
    )


def _build_options(spec: Spec) -> BuildOptions:
    return BuildOptions(
        optimization_level=spec.build.optimization_level,
        workspace_bytes=None if spec.build.workspace is None else int(spec.build.workspace),
        is_version_compatible=spec.build.version_compatible,
        hardware_compatibility=spec.build.hardware_compatibility,
        is_weight_streaming=spec.build.weight_streaming,
        is_refittable=spec.build.refit,
    )


def _base_problem(
    loaded: LoadedSpec, spec: Spec, catalogue: Catalogue, store: ProfileStore, model_digest: str
) -> BaseProblem:
    """What the problem of any kind of model has."""
    return BaseProblem(
        name=loaded.name,
        spec_path=loaded.path.as_posix(),
        availability=spec.slo.availability,
        accuracy=_accuracy_goal(spec),
        traffic=_traffic(loaded, spec),
        limits=_limits(spec),
        objective=spec.objective,
        options=_options(spec, catalogue),
        server=spec.deploy.server,
        evidence=stored_evidence(loaded, spec, store.accuracy(model_digest)),
        origins=_origins(loaded),
        spans={path: loaded.span(path) for path in (*DEFAULTED_PATHS, *_emitted_paths(spec))},
        has_calibration_data=spec.accuracy is not None or spec.quantization.calibration is not None,
        is_provider_named=spec.pricing.provider is not None,
    )


def _emitted_paths(spec: Spec) -> Iterator[str]:
    """Paths of what only an emitter can judge."""
    if spec.deploy.kubernetes is not None:
        yield "deploy.kubernetes"
    if spec.deploy.vllm is not None:
        yield from (f"deploy.vllm.args.{key}" for key in spec.deploy.vllm.args)


def _restricted(problem: AnyProblem, catalogue: Catalogue, spec: Spec, name: str) -> AnyProblem:
    hardware = catalogue.find(name)
    assert hardware is not None  # noqa: S101 - names were checked before
    option = replace(priced_option(spec, catalogue, hardware), is_named_target=True)
    if isinstance(problem, LlmProblem):
        others = tuple(replace(other, options=(option,)) for other in problem.alternatives)
        return replace(problem, options=(option,), alternatives=others)
    return replace(problem, options=(option,))


def market_options(spec: Spec, catalogue: Catalogue) -> tuple[HardwareOption, ...]:
    """Every data centre GPU that infc emits for and that is rented out under the spec's terms.

    Workstation cards and CPUs have to be named: nobody rents them as such. With `deploy.server: jetson` it is every
    Jetson module that the spec's JetPack runs on.
    """
    if spec.deploy.server == "jetson":
        modules = (priced_option(spec, catalogue, h) for h in catalogue.all() if h.is_emittable and h.kind == "jetson")
        return tuple(option for option in modules if option.jetson is None or option.jetson.refusal is None)
    market = (h for h in catalogue.all() if h.is_emittable and h.kind == "gpu" and h.form == "datacenter")
    options = (priced_option(spec, catalogue, hardware) for hardware in market)
    return tuple(option for option in options if _is_on_offer(spec, option))


def _options(spec: Spec, catalogue: Catalogue) -> tuple[HardwareOption, ...]:
    """The devices that the spec names; without `constraints.hardware` the whole market."""
    named = spec.constraints.hardware
    if not named:
        return market_options(spec, catalogue)
    devices = (catalogue.find(name) for name in named)
    return tuple(priced_option(spec, catalogue, hardware) for hardware in devices if hardware is not None)


def _is_on_offer(spec: Spec, option: HardwareOption) -> bool:
    return option.price is not None and (option.price.commitment != "owned" or spec.pricing.commitment == "owned")


def _traffic(loaded: LoadedSpec, spec: Spec) -> Traffic:
    workload = spec.workload
    arrival = _arrival(loaded, spec)
    hourly, busiest = workload.hourly, max(workload.hourly or (1.0,))
    if isinstance(arrival, DiurnalArrival):
        busiest = arrival.peak_to_mean
        hourly = arrival.multipliers if arrival.period_s == DAY_S else None
    return Traffic(
        arrival=at_peak(arrival),
        rate_rps=workload.rate_rps,
        peak_rps=workload.peak_rps or workload.rate_rps * max(1.0, busiest),
        hourly=hourly,
        axes={
            axis: AxisDistribution(percentiles=dict(sizes.percentiles), maximum=sizes.max)
            for axis, sizes in sorted(workload.axes.items())
        },
    )


def _arrival(loaded: LoadedSpec, spec: Spec) -> Arrival:
    match spec.workload.arrival:
        case ConstantSpec(constant=senders):
            return ConstantArrival(streams=senders.streams)
        case BurstySpec(bursty=shape):
            return BurstyArrival(cv=shape.cv)
        case DiurnalSpec(diurnal=course):
            return _diurnal(course)
        case TraceSpec():
            assert loaded.trace is not None  # noqa: S101 - a valid spec's trace was read
            return loaded.trace
        case "constant":
            return ConstantArrival()
        case "poisson":
            return PoissonArrival()


def _diurnal(course: DiurnalShape) -> DiurnalArrival:
    if course.hourly is not None:
        mean = sum(course.hourly) / len(course.hourly)
        return DiurnalArrival(multipliers=tuple(weight / mean for weight in course.hourly), cv=course.cv)
    assert course.peak_to_mean is not None  # noqa: S101 - a valid spec gives one of them
    multipliers = diurnal_multipliers(course.peak_to_mean)
    return DiurnalArrival(multipliers=multipliers, period_s=course.period, cv=course.cv)


def _limits(spec: Spec) -> Limits:
    constraints, jetson = spec.constraints, spec.deploy.jetson
    return Limits(
        precisions=constraints.precision or tuple(Precision),
        max_accelerators=constraints.max_accelerators,
        max_usd_per_hour=constraints.max_usd_per_hour,
        max_power_w=constraints.max_power_w,
        redundancy=constraints.redundancy,
        surge=spec.deploy.rollout.max_surge if spec.deploy.rollout else 0,
        unavailable=spec.deploy.rollout.max_unavailable if spec.deploy.rollout else None,
        max_memory_bytes=constraints.max_memory_bytes,
        reserved_bytes=jetson.reserved_bytes if jetson else None,
        power_mode=jetson.power_mode if jetson else None,
    )


def _accuracy_goal(spec: Spec) -> AccuracyGoal | None:
    goal = spec.accuracy
    if goal is None:
        return None
    return AccuracyGoal(
        dataset=goal.dataset,
        metric=goal.metric,
        floor=goal.floor,
        max_drop=goal.max_drop,
        confidence=goal.confidence,
        max_slice_drop=goal.max_slice_drop,
    )


def stored_evidence(loaded: LoadedSpec, spec: Spec, stored: Sequence[AccuracyEvidence]) -> tuple[AccuracyEvidence, ...]:
    """Stored evidence on the spec's dataset; on any dataset where the file is not at hand to compare."""
    if not stored or spec.accuracy is None:
        return ()
    digest = _file_digest(loaded.file(spec.accuracy.dataset))
    return tuple(e for e in stored if digest is None or e.dataset_digest == digest)


def _file_digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _origins(loaded: LoadedSpec) -> dict[str, Origin]:
    return {path: Origin.USER if path in loaded.source.entries else Origin.DEFAULT for path in DEFAULTED_PATHS}


def _axis_problems(loaded: LoadedSpec, spec: Spec, model: ModelProfile) -> Iterator[Diagnostic]:
    """Axes of the spec against the model's: all of them, none else."""
    for axis in model.axes:
        if axis not in spec.workload.axes:
            yield Diagnostic(
                id="plan-axis-missing",
                message=f"the model's axis `{axis}` has no sizes",
                span=loaded.span("workload.axes"),
                help=f"write workload: {{axes: {{{axis}: {{p50: 32, max: 128}}}}}}, or one number if it never varies",
            )
    for axis in spec.workload.axes:
        if axis == model.batch_axis:
            yield Diagnostic(
                id="plan-axis-unknown",
                message=f"`{axis}` is the batch axis, which the plan chooses",
                span=loaded.span(f"workload.axes.{axis}"),
                help="remove it; requests carry one item each",
            )
        elif axis not in model.axes:
            known = ", ".join(model.axes) or "none besides the batch"
            yield Diagnostic(
                id="plan-axis-unknown",
                message=f"the model has no axis `{axis}`",
                span=loaded.span(f"workload.axes.{axis}"),
                notes=(f"dynamic axes of the model: {known}",),
                help=did_you_mean(axis, model.axes) or "remove it",
            )


def _notes(loaded: LoadedSpec, spec: Spec) -> Iterator[Diagnostic]:
    """What is carried but weighs nothing in this plan."""
    if spec.workload.hourly is not None and spec.pricing.commitment != "mixed":
        yield Diagnostic(
            id="plan-hourly-unused",
            severity=Severity.NOTE,
            message="the day shape does not lower the cost: replicas for the peak run all day",
            span=loaded.span("workload.hourly"),
            help="write pricing: {commitment: mixed} to reserve the baseline and rent the peak on demand",
        )


def _placed(problems: Sequence[Diagnostic], span: Span) -> Iterator[Diagnostic]:
    """Diagnostics about the model, pointing at the line of the spec that names it."""
    for problem in problems:
        yield problem if problem.span is not None else replace(problem, span=span)
