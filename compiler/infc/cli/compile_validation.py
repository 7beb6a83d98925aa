"""The load test that `infc compile --validate` runs on each bundle, whatever server it is for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from infc.cli.edge import INCONCLUSIVE, OK, SLO_NOT_MET

if TYPE_CHECKING:
    from pathlib import Path

    from infc.ir.llm_measurement import LlmMeasurement
    from infc.ir.measurement import Measurement
    from infc.report.compiled import CompiledEntry
    from infc.spec import Workspace

WEIGHTS_HELP = "put them into the checkpoint's folder and compile again, or leave --validate out"


def validated(entry: CompiledEntry, folder: Path, workspace: Workspace, *, is_stored: bool) -> CompiledEntry:
    """The entry with its measurement, for real where this machine can serve the bundle, else as a rehearsal.

    `is_stored` keeps measured times in the workspace, for the next plan.

    Raises:
        ToolError: the bundle cannot be served here, or the server fails.
    """
    from infc.cli.bundle_page import renew_page
    from infc.diag import ToolError
    from infc.pipeline.validate import is_language_model

    if entry.pending == "weights":
        raise ToolError(f"{entry.folder} waits for its weights, and cannot be served before", help=WEIGHTS_HELP)
    measure = _language_model if is_language_model(folder) else _engine
    measurement = measure(folder, workspace, is_stored=is_stored)
    renew_page(folder, measurement)
    return replace(entry, measurement=measurement)


def render(measurement: Measurement | LlmMeasurement, *, color: bool) -> str:
    """The measurement as text."""
    from infc.ir.llm_measurement import LlmMeasurement

    if isinstance(measurement, LlmMeasurement):
        from infc.report.llm_measurement_text import render_llm_measurement_text

        return render_llm_measurement_text(measurement, color=color)
    from infc.report.measurement_text import render_measurement_text

    return render_measurement_text(measurement, color=color)


def exit_code(measurement: Measurement | LlmMeasurement) -> int:
    """What its verdict makes the command exit with."""
    return {"pass": OK, "fail": SLO_NOT_MET, "inconclusive": INCONCLUSIVE}[measurement.verdict.value]


def _engine(folder: Path, workspace: Workspace, *, is_stored: bool) -> Measurement:
    from infc.cli.load_progress import load_progress
    from infc.pipeline.measurements import keep_measurement
    from infc.pipeline.validate import store_service_times
    from infc.validate.load.settings import LoadSettings
    from infc.validate.session import ValidationRequest, must_be_rehearsed, validate_bundle

    request = ValidationRequest(bundle=folder, settings=LoadSettings(), is_rehearsal=must_be_rehearsed(folder))
    with load_progress() as progress:
        measurement = validate_bundle(request, progress=progress, announce=_say)
    if is_stored:
        store_service_times(measurement, workspace)
        keep_measurement(measurement, folder, workspace)
    return measurement


def _language_model(folder: Path, workspace: Workspace, *, is_stored: bool) -> LlmMeasurement:
    from infc.cli.load_progress import load_progress
    from infc.pipeline.measurements import keep_measurement
    from infc.pipeline.validate import store_step_times
    from infc.validate.llm.load import LlmLoadSettings
    from infc.validate.llm.session import LlmValidationRequest, must_be_rehearsed, validate_llm_bundle

    request = LlmValidationRequest(bundle=folder, settings=LlmLoadSettings(), is_rehearsal=must_be_rehearsed(folder))
    with load_progress() as progress:
        measurement = validate_llm_bundle(request, progress=progress, announce=_say)
    if is_stored:
        store_step_times(measurement, workspace)
        keep_measurement(measurement, folder, workspace)
    return measurement


def _say(line: str) -> None:
    click.echo(line, err=True)
