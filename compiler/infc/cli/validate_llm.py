"""`infc validate` of a language model's bundle: its options, its report, what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import INCONCLUSIVE, OK, SLO_NOT_MET

if TYPE_CHECKING:
    from infc.ir.llm_measurement import LlmMeasurement


@dataclass(frozen=True, kw_only=True)
class LlmOptions:
    """What the command line said."""

    subject: Path
    bundle: Path
    endpoint: str | None
    is_rehearsal: bool
    load_generator: str
    imported: Path | None
    budget_s: float | None
    rate_rps: float | None
    seed: int
    is_realtime: bool | None
    is_stored: bool
    format: str


def validate_language_model(options: LlmOptions) -> int:
    """Serve and load, or read what was measured already; print. Returns the exit code."""
    from infc.cli.bundle_page import renew_page

    measurement = _measured(options) if options.imported is None else _imported(options.bundle, options.imported)
    if options.is_stored:
        _store(measurement, options)
    if options.rate_rps is None:
        renew_page(options.bundle, measurement)
    print_llm_measurement(measurement, options.format)
    return {"pass": OK, "fail": SLO_NOT_MET, "inconclusive": INCONCLUSIVE}[measurement.verdict.value]


def print_llm_measurement(measurement: LlmMeasurement, format: str) -> None:
    """Print it on standard output."""
    if format == "json":
        from infc.report.llm_measurement_json import render_llm_measurement_json

        click.echo(render_llm_measurement_json(measurement))
        return
    from infc.cli.terminal import has_color
    from infc.report.llm_measurement_text import render_llm_measurement_text

    click.echo(render_llm_measurement_text(measurement, color=has_color()))


def _measured(options: LlmOptions) -> LlmMeasurement:
    from infc.cli.load_progress import load_progress
    from infc.validate.llm.load import LlmLoadSettings
    from infc.validate.llm.session import LlmValidationRequest, validate_llm_bundle

    settings = LlmLoadSettings(rate_rps=options.rate_rps, seed=options.seed)
    if options.budget_s is not None:
        settings = LlmLoadSettings(budget_s=options.budget_s, rate_rps=options.rate_rps, seed=options.seed)
    request = LlmValidationRequest(
        bundle=options.bundle,
        settings=settings,
        endpoint=options.endpoint,
        is_rehearsal=options.is_rehearsal,
        is_realtime=options.is_realtime,
        load_generator=options.load_generator,
    )
    with load_progress() as progress:
        return validate_llm_bundle(request, progress=progress, announce=lambda line: click.echo(line, err=True))


def _imported(bundle: Path, path: Path) -> LlmMeasurement:
    """What another tool measured, judged by the bundle's contract; DiagnosticError when it cannot be read."""
    from infc.cli.edge import FAILURE
    from infc.diag import DiagnosticError
    from infc.validate.llm.session import read_llm_contract
    from infc.validate.llm_import import import_result

    measurement, problems = import_result(path, read_llm_contract(bundle))
    if measurement is None:
        raise DiagnosticError(problems, exit_code=FAILURE)
    return measurement


def _store(measurement: LlmMeasurement, options: LlmOptions) -> None:
    """Keep what was measured in the workspace of the spec, or of the bundle when it lies in one."""
    from infc.pipeline.measurements import keep_measurement
    from infc.pipeline.validate import store_step_times
    from infc.spec.workspace import find_workspace

    workspace = find_workspace(options.subject if options.subject.is_file() else options.bundle)
    if options.rate_rps is None and workspace.lock.is_file():
        keep_measurement(measurement, options.bundle, workspace)
    if measurement.step_times is None:
        return
    if not workspace.profiles.is_dir() and not workspace.lock.is_file():
        click.echo("step times were not stored: the bundle lies in no workspace with an infc.lock", err=True)
    elif path := store_step_times(measurement, workspace):
        click.echo(f"stored measured step times in {path.name}: the next plan uses them", err=True)
