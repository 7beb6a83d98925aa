"""`infc calibrate`: lower, build and measure a model on this machine, and store the profile that later plans use."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from infc.build import build, shape_ranges
from infc.diag import Diagnostic
from infc.ir.engine import BuildRequest
from infc.ir.hardware import Hardware
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution
from infc.ir.service_time import ServiceTimeProfile
from infc.lower import Calibration, LoweringSettings, lower, settings_for
from infc.resolve.store import ProfileStore
from infc.validate.service_time import Sweep, measure_service_times


@dataclass(frozen=True, kw_only=True)
class CalibrationTask:
    """What to calibrate: a model, the precisions, and where its data, cache and profiles are."""

    source: Path
    model: ModelProfile
    hardware: Hardware
    precisions: tuple[Precision, ...]
    data: Calibration | None
    settings: LoweringSettings | None
    sweep: Sweep


def calibrate(
    task: CalibrationTask, store: ProfileStore, progress: Callable[[str], None]
) -> tuple[tuple[ServiceTimeProfile, ...], tuple[Diagnostic, ...]]:
    """Measure every precision and store its profile; one that cannot be built is a diagnostic, the others go on."""
    if task.hardware.kind != "cpu":
        return (), (other_machine(task.hardware),)
    profiles: list[ServiceTimeProfile] = []
    diagnostics: list[Diagnostic] = []
    for precision in task.precisions:
        progress(f"{precision.value}: lowering and building")
        profile, problems = _calibrate_one(task, precision, store.cache, progress)
        diagnostics += problems
        if profile is not None:
            store.add_service_time(profile)
            profiles.append(profile)
    return tuple(profiles), tuple(diagnostics)


def other_machine(hardware: Hardware) -> Diagnostic:
    """The diagnostic for hardware that this machine is not."""
    return Diagnostic(
        id="calibrate-other-machine",
        message=f"{hardware.id} cannot be measured on this machine",
        notes=(f"infc calibrate measures the machine it runs on, which is the hardware cpu, not {hardware.name}",),
        help=f"run infc validate BUNDLE --endpoint URL against a server on a {hardware.id}: it stores the profile",
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


def _sizes(axis: AxisDistribution) -> tuple[int, ...]:
    return tuple(sorted({*axis.percentiles.values(), axis.maximum}))


def _calibrate_one(
    task: CalibrationTask, precision: Precision, cache: Path, progress: Callable[[str], None]
) -> tuple[ServiceTimeProfile | None, tuple[Diagnostic, ...]]:
    settings = task.settings or settings_for(task.hardware.kind)
    lowered, problems = lower(task.source, task.model, precision, task.data, settings, cache / "lowered")
    if lowered is None:
        return None, problems
    largest = {
        axis: AxisDistribution(percentiles={}, maximum=max(point[axis] for point in task.sweep.axes))
        for axis in task.model.axes
    }
    request = BuildRequest(
        kind="onnxruntime",
        model=lowered,
        shapes=shape_ranges(task.model, max(task.sweep.batch_sizes), largest),
        hardware_id=task.hardware.id,
        compute_capability=None,
    )
    engine, problems = build(request, cache / "engines", progress)
    if engine is None:
        return None, problems
    return measure_service_times(engine, task.model, task.sweep, progress), problems
