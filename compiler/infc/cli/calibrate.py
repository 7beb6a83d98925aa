"""`infc calibrate`: measure service times on this machine for later plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import FAILURE, OK, SPEC_INVALID
from infc.ir.precision import Precision
from infc.ir.quantity import QuantityError, parse_duration_s

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.ir.hardware import Hardware
    from infc.ir.model_profile import ModelProfile
    from infc.ir.problem import AxisDistribution
    from infc.ir.spec import Spec
    from infc.lower import Calibration, LoweringSettings
    from infc.spec import LoadedSpec

MAX_BATCH_SIZE = 4096


def _batch_sizes(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        sizes = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers separated by commas") from None
    if sizes[0] < 1 or sizes[-1] > MAX_BATCH_SIZE:
        raise click.BadParameter(f"{value!r} must hold batch sizes from 1 to {MAX_BATCH_SIZE}")
    return sizes


def _axes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    axes: dict[str, tuple[int, ...]] = {}
    for value in values:
        name, _, sizes = value.partition("=")
        try:
            axes[name] = tuple(sorted({int(size) for size in sizes.split(",")}))
        except ValueError:
            raise click.BadParameter(f"{value!r} is not AXIS=SIZE or AXIS=SIZE,SIZE") from None
        if axes[name][0] < 1:
            raise click.BadParameter(f"{value!r} must hold sizes from 1 on")
    return axes


def _precisions(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Precision, ...]:
    try:
        return tuple(Precision(part.strip()) for part in value.split(",")) if value else ()
    except ValueError:
        names = ", ".join(precision.value for precision in Precision)
        raise click.BadParameter(f"{value!r} is not a list of precisions ({names})") from None


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None
    return seconds


@click.command(name="calibrate")
@click.argument("target", metavar="SPEC|MODEL.onnx", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--hardware", default="cpu", show_default=True, metavar="ID", help="What this machine is: cpu.")
@click.option(
    "--batches",
    default="1,2,4,8",
    show_default=True,
    metavar="N,N,...",
    callback=_batch_sizes,
    help="Batch sizes to measure.",
)
@click.option(
    "--axes",
    multiple=True,
    metavar="AXIS=SIZE,...",
    callback=_axes,
    help="Sizes of a dynamic axis. Default: the percentiles and the maximum of the spec's workload.axes.",
)
@click.option(
    "--precision",
    "precisions",
    metavar="P,P,...",
    callback=_precisions,
    help="Precisions to measure. Default: fp32, and int8 where the spec has calibration data and allows it.",
)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Threads per instance.")
@click.option("--instances", type=click.IntRange(1, 64), default=1, show_default=True, help="Instances at once.")
@click.option(
    "--budget", default="20s", show_default=True, metavar="TIME", callback=_seconds, help="Time per precision."
)
@click.option("--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(
    target: Path,
    hardware: str,
    batches: tuple[int, ...],
    axes: dict[str, tuple[int, ...]],
    precisions: tuple[Precision, ...],
    threads: int,
    instances: int,
    budget: float,
    format: str,
) -> int:
    r"""Measure how long batches take on this machine, and store the profile that later plans use.

    The model is lowered and built as compile does it, and run in ONNX Runtime with the settings of its server. The
    profile is written to infc-profiles/ at the root of the spec tree: commit it, and plans rest on it (basis:
    measured).

    \b
    Examples:
      infc calibrate specs/encoder.infc.yaml --hardware cpu
      infc calibrate models/encoder.onnx --batches 1,4,16 --axes sequence=24,128
    """
    from infc.diag import DiagnosticError, has_errors
    from infc.report.service_time import render_service_times_json, render_service_times_text
    from infc.resolve.model import model_profile
    from infc.resolve.store import ProfileStore
    from infc.spec.workspace import find_workspace
    from infc.validate.calibrate import CalibrationTask, calibrate, sweep_axes
    from infc.validate.service_time import Sweep

    loaded, spec = _loaded(target)
    workspace = find_workspace(target)
    store = ProfileStore(root=workspace.root, cache=workspace.cache)
    device = _hardware(hardware, workspace.targets)
    source = _source(loaded, spec, target)
    model, problems = model_profile(source, store, None)
    if model is None or has_errors(problems):
        raise DiagnosticError(problems, exit_code=FAILURE)
    points, problems = sweep_axes(model, _traffic_axes(spec), axes)
    if problems:
        raise DiagnosticError(problems, exit_code=FAILURE)
    data = _calibration(loaded, spec, model)
    task = CalibrationTask(
        source=source,
        model=model,
        hardware=device,
        precisions=precisions or _default_precisions(spec, data),
        data=data,
        settings=_settings(spec, device),
        sweep=Sweep(
            batch_sizes=batches if model.fixed_batch is None else (model.fixed_batch,),
            axes=points,
            threads=threads,
            instances=instances,
            budget_s=budget,
        ),
    )
    profiles, problems = calibrate(task, store, lambda line: click.echo(line, err=True))
    if not profiles:
        raise DiagnosticError(problems, exit_code=FAILURE)
    _show(problems)
    render = render_service_times_json if format == "json" else render_service_times_text
    click.echo(render(profiles))
    return OK


def _loaded(target: Path) -> tuple[LoadedSpec | None, Spec | None]:
    from infc.diag import DiagnosticError
    from infc.spec import load_spec

    if target.suffix == ".onnx":
        return None, None
    loaded = load_spec(target)
    if loaded.spec is None:
        raise DiagnosticError(loaded.diagnostics, exit_code=SPEC_INVALID)
    return loaded, loaded.spec


def _hardware(name: str, overlay: Path) -> Hardware:
    from infc.diag import DiagnosticError
    from infc.resolve.targets import load_catalogue
    from infc.validate.calibrate import other_machine

    catalogue = load_catalogue(overlay if overlay.is_dir() else None)
    device = catalogue.find(name)
    if device is None:
        raise DiagnosticError((catalogue.unknown_hardware(name, None),), exit_code=FAILURE)
    if device.kind != "cpu":
        raise DiagnosticError((other_machine(device),), exit_code=FAILURE)
    return device


def _source(loaded: LoadedSpec | None, spec: Spec | None, target: Path) -> Path:
    from infc.ir.spec.model_source import OnnxModel

    if loaded is None or spec is None:
        return target
    if not isinstance(spec.model, OnnxModel):
        raise click.UsageError("calibrate measures ONNX models; this spec names another kind of model")
    return loaded.file(spec.model.onnx)


def _traffic_axes(spec: Spec | None) -> dict[str, AxisDistribution]:
    from infc.ir.problem import AxisDistribution

    axes = {} if spec is None else spec.workload.axes
    return {
        name: AxisDistribution(percentiles=dict(sizes.percentiles), maximum=sizes.max) for name, sizes in axes.items()
    }


def _calibration(loaded: LoadedSpec | None, spec: Spec | None, model: ModelProfile) -> Calibration | None:
    """The spec's calibration data for INT8; None when it has none."""
    from infc.diag import DiagnosticError
    from infc.lower import calibration_from_dataset, calibration_from_file

    if loaded is None or spec is None:
        return None
    written = spec.quantization.calibration
    if written is not None:
        data, problems = calibration_from_file(
            loaded.file(written), model.inputs, spec.quantization.samples, shown_as=written
        )
    elif spec.accuracy is not None:
        data, problems = calibration_from_dataset(
            loaded.file(spec.accuracy.dataset), model.inputs, shown_as=spec.accuracy.dataset
        )
    else:
        return None
    if problems:
        raise DiagnosticError(problems, exit_code=FAILURE)
    return data


def _settings(spec: Spec | None, device: Hardware) -> LoweringSettings:
    from infc.lower import settings_for

    return settings_for(device.kind, method="minmax" if spec is None else spec.quantization.method)


def _default_precisions(spec: Spec | None, data: Calibration | None) -> tuple[Precision, ...]:
    allowed = None if spec is None else spec.constraints.precision
    has_int8 = data is not None and (allowed is None or Precision.INT8 in allowed)
    return (Precision.FP32, Precision.INT8) if has_int8 else (Precision.FP32,)


def _show(problems: tuple[Diagnostic, ...]) -> None:
    if not problems:
        return
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(problems), err=True)
