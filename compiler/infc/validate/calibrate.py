"""`infc calibrate`: lower, build and measure a model on this machine, and store the profile that later plans use."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from infc.build import build, builder_for, shape_ranges
from infc.diag import Diagnostic, Severity
from infc.ir.build_options import DEFAULT_BUILD_OPTIONS, BuildOptions
from infc.ir.device_usage import DeviceUsage
from infc.ir.engine import BuildRequest, Engine, LoweredModel
from infc.ir.engine_choice import refused_engine
from infc.ir.engine_kind import EngineChoice
from infc.ir.hardware import Hardware
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution
from infc.ir.service_time import POWER_MODE, ServiceTimeProfile
from infc.lower.arrays import Calibration
from infc.lower.lowering import lower
from infc.lower.settings import LoweringSettings, settings_for
from infc.resolve.store import ProfileStore
from infc.validate.gpu.device import GpuDevice, find_gpus
from infc.validate.gpu.identity import ids_of, is_device
from infc.validate.gpu.nvml import driver_version
from infc.validate.gpu.tegrastats import power_mode
from infc.validate.gpu.watch import UNWATCHED, DeviceWatch, watch_device
from infc.validate.instances import open_instances
from infc.validate.service_time import Bench, Sweep, measure_service_times, processor_name
from infc.validate.session import has_gpu

SLOWED_SHARE = 0.1
"""Share of samples with clocks held back from which on the measurement carries a warning."""
_CHOSEN_CLOCKS = frozenset({"clocks set by a user", "sync boost"})


@dataclass(frozen=True, kw_only=True)
class CalibrationTask:
    """What to calibrate: a model, the precisions, and where its data, cache and profiles are.

    `device` is this machine's GPU that is `hardware`, None for the CPU. `engine` is the runtime, as specs choose it;
    `optimum_batch_size` is what the engine is tuned for (None: the largest of the sweep). Of the `settings` of a
    precision (none: the hardware's own) the first are taken whose recipe is among the `proven` ones, which kept their
    accuracy: what compile would deploy; else the very first.
    """

    source: Path
    model: ModelProfile
    hardware: Hardware
    precisions: tuple[Precision, ...]
    data: Calibration | None
    sweep: Sweep
    settings: Mapping[Precision, tuple[LoweringSettings, ...]] = field(default_factory=dict)
    proven: frozenset[str] = frozenset()
    device: GpuDevice | None = None
    engine: EngineChoice = "auto"
    options: BuildOptions = DEFAULT_BUILD_OPTIONS
    optimum_batch_size: int | None = None


def calibrate(
    task: CalibrationTask, store: ProfileStore, progress: Callable[[str], None]
) -> tuple[tuple[ServiceTimeProfile, ...], tuple[Diagnostic, ...]]:
    """Measure every precision and store its profile; one that cannot be built is a diagnostic, the others go on.

    Raises:
        ToolError: what builds or runs the engines is not installed, or the device fails while it runs.
    """
    profiles: list[ServiceTimeProfile] = []
    diagnostics: list[Diagnostic] = []
    for precision in task.precisions:
        progress(f"{precision.value}: lowering and building")
        engine, problems = _engine(task, precision, store.cache, progress)
        diagnostics += problems
        if engine is None:
            continue
        measured = _measured(task, engine, progress)
        if isinstance(measured, Diagnostic):
            diagnostics.append(measured)
            continue
        store.add_service_time(measured)
        profiles.append(measured)
        slowed = slowed_clocks(measured)
        diagnostics += [] if slowed is None else [slowed]
    return tuple(profiles), tuple(diagnostics)


def device_for(hardware: Hardware, catalogue: Iterable[Hardware]) -> GpuDevice | Diagnostic | None:
    """This machine's GPU that is this hardware; None for the CPU; the diagnostic when this machine is another.

    Raises:
        ToolError: there is a GPU, and cuda-bindings is not installed.
    """
    if hardware.kind == "cpu":
        return None
    found = find_gpus() if has_gpu() else ()
    if isinstance(found, Diagnostic):
        return found
    match = next((device for device in found if is_device(device, hardware)), None)
    return other_machine(hardware, found, catalogue) if match is None else match


def other_machine(hardware: Hardware, found: Iterable[GpuDevice], catalogue: Iterable[Hardware]) -> Diagnostic:
    """The diagnostic for hardware that this machine is not."""
    rows = tuple(catalogue)
    known = {device: ids_of(device, rows) for device in found}
    notes = [
        f"this machine's GPU is {device.label}: {' or '.join(ids) or 'not in the catalogue'}"
        for device, ids in known.items()
    ]
    own = next((ids[0] for ids in known.values() if ids), None)
    return Diagnostic(
        id="calibrate-other-machine",
        message=f"{hardware.id} cannot be measured on this machine",
        notes=tuple(notes) or (f"this machine has no NVIDIA GPU: it is the hardware cpu, not {hardware.name}",),
        help=f"--hardware {own} measures what is here"
        if own
        else f"run it on a host with a {hardware.id}; infc validate BUNDLE --endpoint URL measures a server there",
    )


def sweep_axes(
    model: ModelProfile, traffic: dict[str, AxisDistribution], given: dict[str, tuple[int, ...]]
) -> tuple[tuple[dict[str, int], ...], tuple[Diagnostic, ...]]:
    """The points of the dynamic axes to measure: sizes given, else percentiles and maximum of the traffic."""
    missing = [axis for axis in model.axes if axis not in given and axis not in traffic]
    if missing:
        return (), tuple(
            Diagnostic(
                id="calibrate-axis-missing",
                message=f"axis {axis} of {model.name} has no size",
                help=f"add workload.axes.{axis} to the spec, or --axes {axis}=128",
            )
            for axis in missing
        )
    sizes = [given.get(axis) or _sizes(traffic[axis]) for axis in model.axes]
    return tuple(dict(zip(model.axes, point, strict=True)) for point in product(*sizes)), ()


def slowed_clocks(profile: ServiceTimeProfile) -> Diagnostic | None:
    """The warning that heat or a power limit held the clocks back while this was measured; None when they did not."""
    usage = profile.usage or DeviceUsage(source="nvml", samples=0, seconds=0.0)
    slowed = {why: share for why, share in usage.slowdowns.items() if why not in _CHOSEN_CLOCKS}
    worst = max(slowed, key=lambda why: slowed[why], default=None)
    if worst is None or slowed[worst] <= SLOWED_SHARE:
        return None
    clock = "" if usage.clock_hz is None else f", at {usage.clock_hz / 1e6:.0f} MHz in the mean"
    return Diagnostic(
        id="calibrate-slowed",
        severity=Severity.WARNING,
        message=f"the clocks of {profile.hardware_id} were held back in {slowed[worst]:.0%} of the samples ({worst})",
        notes=(f"{profile.precision.value} was measured like that{clock}",),
        help="keep it where production runs as hot; else cool the device, end other programs and measure again",
    )


def _sizes(axis: AxisDistribution) -> tuple[int, ...]:
    return tuple(sorted({*axis.percentiles.values(), axis.maximum}))


def _engine(
    task: CalibrationTask, precision: Precision, cache: Path, progress: Callable[[str], None]
) -> tuple[Engine | None, tuple[Diagnostic, ...]]:
    refusal = refused_engine(task.hardware, task.engine, precision)
    if refusal is not None:
        return None, (_no_engine(task, precision, refusal),)
    lowered, problems = _lowered(task, precision, cache / "lowered")
    if lowered is None:
        return None, problems
    largest = {
        axis: AxisDistribution(percentiles={}, maximum=max(point[axis] for point in task.sweep.axes))
        for axis in task.model.axes
    }
    request = BuildRequest(
        kind=builder_for(task.hardware, task.engine, precision),
        model=lowered,
        shapes=shape_ranges(task.model, max(task.sweep.batch_sizes), largest, task.optimum_batch_size),
        hardware_id=task.hardware.id,
        compute_capability=task.hardware.compute_capability,
        options=task.options,
    )
    engine, refused = build(request, cache / "engines", progress)
    return engine, (*problems, *refused)


def _lowered(
    task: CalibrationTask, precision: Precision, folder: Path
) -> tuple[LoweredModel | None, tuple[Diagnostic, ...]]:
    """The model as compile would lower it, with the exceptions that its accuracy needs."""
    choices = task.settings.get(precision) or (settings_for(task.hardware.kind),)
    first: tuple[LoweredModel | None, tuple[Diagnostic, ...]] | None = None
    for settings in choices:
        lowered, problems = lower(task.source, task.model, precision, task.data, settings, folder)
        if lowered is None or lowered.recipe_digest in task.proven:
            return lowered, problems
        first = first or (lowered, problems)
    assert first is not None  # noqa: S101 - there is one choice at least
    return first


def _no_engine(task: CalibrationTask, precision: Precision, reason: str) -> Diagnostic:
    return Diagnostic(
        id="calibrate-engine",
        message=f"{task.hardware.id} cannot be measured with {task.engine} in {precision.value}",
        notes=(reason,),
        help="leave --engine out, or name another precision with --precision",
    )


def _measured(
    task: CalibrationTask, engine: Engine, progress: Callable[[str], None]
) -> ServiceTimeProfile | Diagnostic:
    instances = open_instances(engine, task.sweep.instances, task.sweep.threads, task.device)
    if isinstance(instances, Diagnostic):
        return instances
    with _watched(task.device) as watch:
        if watch.sampler is None and task.device is not None:
            progress(f"the device is not sampled: {watch.reason}")
        bench = Bench(engine=engine, instances=instances, environment=_environment(task, engine), watch=watch)
        return measure_service_times(bench, task.model, task.sweep, progress)


@contextmanager
def _watched(device: GpuDevice | None) -> Iterator[DeviceWatch]:
    if device is None:
        yield UNWATCHED
        return
    with watch_device(device) as watch:
        yield watch


def _environment(task: CalibrationTask, engine: Engine) -> Mapping[str, str]:
    common = {**engine.facts.toolchain, "recipe": engine.recipe_digest[:12]}
    if task.device is None:
        return {**common, "device": processor_name(), "threads": str(task.sweep.threads)}
    driver, mode = driver_version(task.device), power_mode() if task.hardware.power_modes else None
    return {
        **common,
        "device": task.device.name,
        "compute_capability": task.device.compute_capability,
        "cuda": task.device.driver_cuda,
        **({} if driver is None else {"driver": driver}),
        **({} if mode is None else {POWER_MODE: mode}),
    }
