"""`infc calibrate`, end to end: the spec and its plan say what to measure; predicted stands beside measured."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import Diagnostic, has_errors
from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.build_options import DEFAULT_BUILD_OPTIONS, BuildOptions
from infc.ir.candidate import DynamicBatching
from infc.ir.engine_kind import EngineChoice
from infc.ir.hardware import Hardware
from infc.ir.model_profile import ModelProfile
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution, Problem
from infc.ir.spec import OnnxModel
from infc.lower.arrays import Calibration
from infc.lower.settings import CalibrationMethod, LoweringSettings, settings_for
from infc.pipeline.calibration_data import calibration_for
from infc.pipeline.plan import overlay_of, profile_store, resolve_loaded
from infc.plan import solve
from infc.plan.site import BATCH_SIZES
from infc.resolve.model import model_profile
from infc.resolve.pricing import priced_option
from infc.resolve.store import ProfileStore
from infc.resolve.targets import Catalogue, load_catalogue
from infc.spec import LoadedSpec, Workspace
from infc.validate.calibrate import CalibrationTask, calibrate, device_for, sweep_axes
from infc.validate.comparison import Comparison, compare
from infc.validate.service_time import Sweep

DEFAULT_BATCH_SIZES = (1, 2, 4, 8)
HEADROOM = 2
"""Batches are measured up to this multiple of the planned largest: a plan looks no further than what was measured."""
SETTLE_S = 5.0
"""Most of the budget that a GPU gets to reach its clocks, unless a quarter of the budget is less."""


@dataclass(frozen=True, kw_only=True)
class CalibrationQuestion:
    """What the user asked to measure; None and empty values follow from the spec, its plan and the hardware.

    `loaded` is None where a model file was named instead of a spec.
    """

    loaded: LoadedSpec | None
    workspace: Workspace
    model: Path
    hardware: str
    batch_sizes: tuple[int, ...] | None
    axes: Mapping[str, tuple[int, ...]]
    precisions: tuple[Precision, ...]
    threads: int
    instances: int | None
    budget_s: float
    engine: EngineChoice | None = None


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What was measured and stored, each beside what had been predicted, and what to know of it."""

    comparisons: tuple[Comparison, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class PlannedSetup:
    """How a plan for one device would run the model there."""

    label: str
    precision: Precision
    max_batch_size: int
    instances: int
    options: BuildOptions

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes worth measuring: powers of two up to twice the planned largest, and that one itself."""
        largest = min(HEADROOM * self.max_batch_size, BATCH_SIZES[-1])
        return tuple(sorted({size for size in BATCH_SIZES if size <= largest} | {self.max_batch_size}))


def calibrate_model(question: CalibrationQuestion, progress: Callable[[str], None]) -> Calibrated:
    """Measure what was asked and store it; `comparisons` is empty when nothing could be measured.

    Raises:
        ToolError: what builds or runs the engines is not installed, or the device fails.
    """
    catalogue = load_catalogue(overlay_of(question.workspace))
    hardware = catalogue.find(question.hardware)
    if hardware is None:
        return nothing(catalogue.unknown_hardware(question.hardware, None))
    device = device_for(hardware, catalogue.all())
    if isinstance(device, Diagnostic):
        return nothing(device)
    store = profile_store(question.workspace)
    model, problems = model_profile(question.model, store, None)
    if model is None or has_errors(problems):
        return nothing(*problems)
    points, problems = sweep_axes(model, _traffic_axes(question), dict(question.axes))
    data, unusable = _calibration(question, model)
    if has_errors((*problems, *unusable)):
        return nothing(*problems, *unusable)
    setup = planned_setup(question.loaded, hardware, question.precisions) if question.loaded else None
    if setup is not None:
        progress(f"the plan for {hardware.id} is {setup.label}")
    batch_sizes = question.batch_sizes or (setup.batch_sizes if setup else DEFAULT_BATCH_SIZES)
    precisions = question.precisions or _default_precisions(question, hardware, setup, data)
    proven = tuple(e for e in store.accuracy(model.digest) if e.verdict is Verdict.PASS)
    base = settings_for(hardware.kind, method=_method(question))
    task = CalibrationTask(
        source=question.model,
        model=model,
        hardware=hardware,
        precisions=precisions,
        data=data,
        settings={precision: _choices(base, precision, proven) for precision in precisions},
        proven=frozenset(evidence.recipe_digest for evidence in proven),
        sweep=Sweep(
            batch_sizes=batch_sizes if model.fixed_batch is None else (model.fixed_batch,),
            axes=points,
            threads=question.threads,
            instances=question.instances or (setup.instances if setup else 1),
            budget_s=question.budget_s,
            settle_s=0.0 if device is None else min(SETTLE_S, question.budget_s / 4),
        ),
        device=device,
        engine=question.engine or _spec_engine(question),
        options=DEFAULT_BUILD_OPTIONS if setup is None else setup.options,
        optimum_batch_size=None if setup is None or question.batch_sizes else setup.max_batch_size,
    )
    return _calibrated(task, store, progress)


def _choices(
    base: LoweringSettings, precision: Precision, proven: Iterable[AccuracyEvidence]
) -> tuple[LoweringSettings, ...]:
    """The ways to lower to a precision that may have been shown to keep its accuracy, the plain one first."""
    exceptions = [evidence.kept for evidence in proven if evidence.precision is precision]
    return tuple(dict.fromkeys((base, *(replace(base, kept=kept) for kept in exceptions))))


def _calibrated(task: CalibrationTask, store: ProfileStore, progress: Callable[[str], None]) -> Calibrated:
    neighbours = store.neighbours(task.model.digest, {task.hardware.id})
    profiles, problems = calibrate(task, store, progress)
    return Calibrated(
        comparisons=tuple(compare(profile, task.model, task.hardware, neighbours) for profile in profiles),
        diagnostics=problems,
    )


def planned_setup(
    loaded: LoadedSpec, hardware: Hardware, precisions: tuple[Precision, ...] = ()
) -> PlannedSetup | None:
    """How the plan for this device alone runs the model, at these precisions where any are named; None: infeasible."""
    catalogues: dict[Path | None, Catalogue] = {}
    resolved, catalogue, _ = resolve_loaded(loaded, catalogues)
    if resolved is None or loaded.spec is None or not isinstance(resolved.problem, Problem):
        return None
    option = replace(priced_option(loaded.spec, catalogue, hardware), is_named_target=True)
    limits = resolved.problem.limits
    if precisions:
        limits = replace(limits, precisions=precisions)
    decision = solve(replace(resolved.problem, options=(option,), limits=limits))
    if not isinstance(decision, Plan) or not isinstance(decision.candidate.batching, DynamicBatching):
        return None
    return PlannedSetup(
        label=decision.candidate.label,
        precision=decision.candidate.precision,
        max_batch_size=decision.candidate.batching.max_batch_size,
        instances=decision.candidate.instances_per_gpu,
        options=resolved.problem.build_options,
    )


def model_file(loaded: LoadedSpec) -> Path | None:
    """The ONNX file of a spec; None when its model is of another kind."""
    spec = loaded.spec
    if spec is None or not isinstance(spec.model, OnnxModel):
        return None
    return loaded.file(spec.model.onnx)


def _traffic_axes(question: CalibrationQuestion) -> dict[str, AxisDistribution]:
    spec = question.loaded.spec if question.loaded else None
    return {
        name: AxisDistribution(percentiles=dict(sizes.percentiles), maximum=sizes.max)
        for name, sizes in (spec.workload.axes if spec else {}).items()
    }


def _calibration(
    question: CalibrationQuestion, model: ModelProfile
) -> tuple[Calibration | None, tuple[Diagnostic, ...]]:
    """The spec's calibration data for quantised precisions; None when there is no spec, or when it has none."""
    if question.loaded is None or question.loaded.spec is None:
        return None, ()
    return calibration_for(question.loaded, question.loaded.spec, model.inputs)


def _spec_engine(question: CalibrationQuestion) -> EngineChoice:
    spec = question.loaded.spec if question.loaded else None
    return "auto" if spec is None else spec.build.engine


def _method(question: CalibrationQuestion) -> CalibrationMethod:
    spec = question.loaded.spec if question.loaded else None
    return "minmax" if spec is None else spec.quantization.method


def _default_precisions(
    question: CalibrationQuestion, hardware: Hardware, setup: PlannedSetup | None, data: Calibration | None
) -> tuple[Precision, ...]:
    """The planned one on a GPU; on a CPU FP32, and INT8 where it can be made and the spec allows it."""
    if hardware.kind != "cpu":
        return (Precision.FP16 if setup is None else setup.precision,)
    spec = question.loaded.spec if question.loaded else None
    allowed = None if spec is None else spec.constraints.precision
    has_int8 = data is not None and (allowed is None or Precision.INT8 in allowed)
    return (Precision.FP32, Precision.INT8) if has_int8 else (Precision.FP32,)


def nothing(*problems: Diagnostic) -> Calibrated:
    """Nothing could be measured, for these reasons."""
    return Calibrated(comparisons=(), diagnostics=problems)
