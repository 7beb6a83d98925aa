"""`infc calibrate`: measure service times on this machine for later plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from click.core import ParameterSource

from infc.cli.complete import hardware_ids
from infc.cli.edge import FAILURE, OK, SPEC_INVALID
from infc.ir.engine_kind import EngineChoice
from infc.ir.precision import Precision
from infc.ir.quantity import QuantityError, parse_duration_s

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.spec import LoadedSpec

MAX_BATCH_SIZE = 4096
_BUDGET_S = 20.0
_ONNX_OPTIONS = ("batches", "axes", "threads", "instances", "engine", "through", "output")


def _batch_sizes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
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


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None
    return seconds


@click.command(name="calibrate")
@click.argument("target", metavar="SPEC|MODEL.onnx", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--hardware", default="cpu", show_default=True, metavar="ID", shell_complete=hardware_ids,
    help="What this machine is: cpu, l4, ...",
)  # fmt: skip
@click.option(
    "--batches",
    metavar="N,N,...",
    callback=_batch_sizes,
    help="Batch sizes to measure. Default: up to twice that of the spec's plan for the hardware; 1,2,4,8 without one.",
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
    help="Precisions to measure. Default: on a GPU the planned one; on the CPU fp32, and int8 where the spec has "
    "calibration data and allows it.",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Threads per instance (CPU)."
)
@click.option(
    "--instances",
    type=click.IntRange(1, 64),
    help="Instances at once. Default: those of the spec's plan; 1 without one.",
)
@click.option(
    "--budget",
    metavar="TIME",
    callback=_seconds,
    help="Time per precision.  [default: 20s; 60s for a language model, its server's start not counted]",
)
@click.option(
    "--engine",
    type=click.Choice(get_args(EngineChoice)),
    help="Which runtime to build for. Default: the spec's build.engine, as compile takes it.",
)
@click.option(
    "--through",
    type=click.Choice(("engine", "triton")),
    default="engine",
    show_default=True,
    help="engine: the engine alone, as an instance runs it. triton: the compiled bundle served, by Triton's own clock.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="A server that serves the bundle already: Triton (with --through triton), or vLLM (with --log).",
)
@click.option(
    "--log",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="LLM, with --endpoint: where vLLM's output goes, started with --enable-logging-iteration-details.",
)
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(path_type=Path), default=Path("dist"), show_default=True,
    help="With --through triton: where compile wrote the bundle.",
)  # fmt: skip
@click.option("--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True)
@click.pass_context
def command(
    context: click.Context,
    target: Path,
    hardware: str,
    batches: tuple[int, ...] | None,
    axes: dict[str, tuple[int, ...]],
    precisions: tuple[Precision, ...],
    threads: int,
    instances: int | None,
    budget: float | None,
    engine: EngineChoice | None,
    through: str,
    endpoint: str | None,
    log: Path | None,
    output: Path,
    format: str,
) -> int:
    r"""Measure how long batches take on this machine, and store the profile that later plans use.

    The model is lowered and built as compile does it, and run as the server's instances run it. A GPU is checked to be
    the hardware that is named, and its power, memory, clocks and temperature are sampled meanwhile. What was predicted
    is printed beside what was measured. The profile is written to infc-profiles/ at the root of the spec tree: commit
    it, and plans rest on it (basis: measured).

    A language model is served by vLLM with the settings of its plan. A handful of bursts of requests, sent several
    times over, tells how long steps of all kinds take: vLLM logs each. Nobody else may use that server meanwhile.

    \b
    Examples:
      infc calibrate specs/encoder.infc.yaml --hardware cpu
      infc calibrate specs/encoder.infc.yaml --hardware l4 --precision fp16,int8
      infc calibrate specs/encoder.infc.yaml --hardware l4 --through triton --endpoint grpc://localhost:8001
      infc calibrate models/encoder.onnx --batches 1,4,16 --axes sequence=24,128
      infc calibrate specs/chat.infc.yaml --hardware h100-sxm --budget 2min
      infc calibrate specs/chat.infc.yaml --hardware h100-sxm --endpoint http://gpu-7:8000 --log vllm.log
    """
    from infc.diag import DiagnosticError
    from infc.pipeline.calibrate import CalibrationQuestion, calibrate_model
    from infc.pipeline.calibrate_served import calibrate_served
    from infc.report.service_time import render_calibration_json, render_calibration_text
    from infc.spec.workspace import find_workspace

    loaded = _loaded(target)
    if loaded is not None and _names_language_model(loaded):
        _refuse_options(context)
        return _calibrate_llm(loaded, hardware, precisions, budget, endpoint, log, format)
    if log is not None:
        raise click.UsageError("--log is for language models: vLLM writes its steps there")
    if through == "triton" and loaded is None:
        raise click.UsageError("--through triton serves the bundle of a spec: name the spec, not the model")
    if through == "engine" and endpoint is not None:
        raise click.UsageError("--endpoint needs --through triton")
    question = CalibrationQuestion(
        loaded=loaded,
        workspace=find_workspace(target),
        model=_model(loaded, target),
        hardware=hardware,
        batch_sizes=batches,
        axes=axes,
        precisions=precisions,
        threads=threads,
        instances=instances,
        budget_s=_BUDGET_S if budget is None else budget,
        engine=engine,
    )
    if through == "triton":
        found = calibrate_served(question, output, endpoint, _say)
    else:
        found = calibrate_model(question, _say)
    if not found.comparisons:
        raise DiagnosticError(found.diagnostics, exit_code=FAILURE)
    _show(found.diagnostics)
    render = render_calibration_json if format == "json" else render_calibration_text
    click.echo(render(found.comparisons))
    return OK


def _calibrate_llm(
    loaded: LoadedSpec,
    hardware: str,
    precisions: tuple[Precision, ...],
    budget: float | None,
    endpoint: str | None,
    log: Path | None,
    format: str,
) -> int:
    from infc.diag import DiagnosticError
    from infc.pipeline.calibrate_llm import DEFAULT_BUDGET_S, LlmCalibrationQuestion, calibrate_llm
    from infc.report.step_time import render_steps_json, render_steps_text

    if (endpoint is None) != (log is None):
        raise click.UsageError("--endpoint and --log go together: the server, and the file that it writes its steps to")
    if len(precisions) > 1:
        raise click.UsageError("a server has one precision: name one with --precision, and calibrate again for another")
    question = LlmCalibrationQuestion(
        loaded=loaded,
        hardware=hardware,
        precision=precisions[0] if precisions else None,
        budget_s=DEFAULT_BUDGET_S if budget is None else budget,
        endpoint=endpoint,
        log=log,
    )
    found = calibrate_llm(question, _say)
    if found.comparison is None or found.path is None:
        raise DiagnosticError(found.diagnostics, exit_code=FAILURE)
    _show(found.diagnostics)
    render = render_steps_json if format == "json" else render_steps_text
    click.echo(render(found.comparison, found.path))
    return OK


def _names_language_model(loaded: LoadedSpec) -> bool:
    from infc.ir.spec import OnnxModel

    return loaded.spec is not None and not isinstance(loaded.spec.model, OnnxModel)


def _refuse_options(context: click.Context) -> None:
    """A usage error for the first option of ONNX models that was written."""
    for name in _ONNX_OPTIONS:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for ONNX models; this spec names a language model")


def _loaded(target: Path) -> LoadedSpec | None:
    """The spec; None where a model was named."""
    from infc.diag import DiagnosticError
    from infc.spec import load_spec

    if target.suffix == ".onnx":
        return None
    loaded = load_spec(target)
    if loaded.spec is None:
        raise DiagnosticError(loaded.diagnostics, exit_code=SPEC_INVALID)
    return loaded


def _model(loaded: LoadedSpec | None, target: Path) -> Path:
    from infc.pipeline.calibrate import model_file

    found = target if loaded is None else model_file(loaded)
    assert found is not None  # noqa: S101 - other kinds of models went their own way
    return found


def _say(line: str) -> None:
    click.echo(line, err=True)


def _show(problems: tuple[Diagnostic, ...]) -> None:
    if not problems:
        return
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(problems), err=True)
