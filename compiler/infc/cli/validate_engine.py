"""`infc validate` of a bundle for Triton: its report, what it keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import INCONCLUSIVE, OK, SLO_NOT_MET

if TYPE_CHECKING:
    from infc.ir.measurement import Measurement
    from infc.validate.session import ValidationRequest


def validate_engine(
    subject: Path,
    bundle: Path,
    *,
    endpoint: str | None,
    is_rehearsal: bool,
    budget_s: float | None,
    rate_rps: float | None,
    seed: int,
    axis_sizes: str,
    is_realtime: bool | None,
    is_stored: bool,
    format: str,
) -> int:
    """A bundle for Triton."""
    from infc.cli.bundle_page import renew_page
    from infc.validate.load.settings import LoadSettings
    from infc.validate.session import ValidationRequest

    settings = LoadSettings(rate_rps=rate_rps, seed=seed)
    request = ValidationRequest(
        bundle=bundle,
        settings=settings if budget_s is None else replace(settings, budget_s=budget_s),
        endpoint=endpoint,
        is_rehearsal=is_rehearsal,
        is_realtime=is_realtime,
        axis_sizes="drawn" if axis_sizes == "drawn" else "padded",
    )
    measurement = _run(request)
    if is_stored:
        _store(measurement, subject, bundle, is_at_peak=rate_rps is None)
    if rate_rps is None:
        renew_page(bundle, measurement)
    _print(measurement, format)
    return {"pass": OK, "fail": SLO_NOT_MET, "inconclusive": INCONCLUSIVE}[measurement.verdict.value]


def _run(request: ValidationRequest) -> Measurement:
    from infc.cli.load_progress import load_progress
    from infc.validate.session import validate_bundle

    with load_progress() as progress:
        return validate_bundle(request, progress=progress, announce=lambda line: click.echo(line, err=True))


def _store(measurement: Measurement, subject: Path, bundle: Path, *, is_at_peak: bool) -> None:
    """Keep what was measured in the workspace of the spec, or of the bundle when it lies in one."""
    from infc.pipeline.measurements import keep_measurement
    from infc.pipeline.validate import store_service_times
    from infc.spec.workspace import find_workspace

    workspace = find_workspace(subject if subject.is_file() else bundle)
    if is_at_peak and workspace.lock.is_file():
        keep_measurement(measurement, bundle, workspace)
    if measurement.service_time is None:
        return
    if not workspace.profiles.is_dir() and not workspace.lock.is_file():
        click.echo("service times were not stored: the bundle lies in no workspace with an infc.lock", err=True)
    elif path := store_service_times(measurement, workspace):
        click.echo(f"stored measured service times in {path.name}: the next plan uses them", err=True)


def _print(measurement: Measurement, format: str) -> None:
    if format == "json":
        from infc.report.measurement_json import render_measurement_json

        click.echo(render_measurement_json(measurement))
        return
    from infc.cli.terminal import has_color
    from infc.report.measurement_text import render_measurement_text

    click.echo(render_measurement_text(measurement, color=has_color()))
