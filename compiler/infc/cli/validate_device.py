"""`infc validate` of a bundle for edge devices on one of them: its options, its report, what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import FAILURE, INCONCLUSIVE, OK, SLO_NOT_MET

if TYPE_CHECKING:
    from infc.ir.edge_validation import EdgeValidation

_CODES = {"pass": OK, "fail": SLO_NOT_MET, "inconclusive": INCONCLUSIVE}


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """What the command line said."""

    subject: Path
    device: str
    output: Path
    is_dry_run: bool
    allows_downgrade: bool
    keeps_timing: bool
    is_stored: bool
    format: str


def validate_device(options: DeviceOptions) -> int:
    """Install on the device, print what it measured. Returns the exit code."""
    from infc.build.builders.address import AddressError
    from infc.cli.bundle_page import renew_page
    from infc.pipeline.edge_device import DeviceRequest, validate_on_device, with_service_time
    from infc.spec.workspace import find_workspace
    from infc.validate.edge.address import parse_device

    try:
        address = parse_device(options.device)
    except AddressError as error:
        raise click.UsageError(str(error)) from None
    request = DeviceRequest(
        bundles=_bundles(options),
        address=address,
        is_dry_run=options.is_dry_run,
        allows_downgrade=options.allows_downgrade,
        wants_timing=options.keeps_timing,
    )

    def say(line: str) -> None:
        click.echo(line, err=True)

    validation = validate_on_device(request, progress=lambda line: say(f"  {line}"), announce=say)
    workspace = find_workspace(options.subject)
    validation = with_service_time(validation, workspace)
    if options.is_stored:
        _store(validation, options)
    if validation.acceptance is not None:
        renew_page(validation.bundle.parent, validation)
    _print(validation, options.format)
    if validation.verdict is not None:
        return _CODES[validation.verdict.value]
    return OK if options.is_dry_run and validation.code == 0 else FAILURE


def _bundles(options: DeviceOptions) -> tuple[Path, ...]:
    """The archives that the subject names: itself, those of its folder, or those of a spec in the output folder.

    Raises:
        UsageError: there are none of the spec.
        ToolError: there are none at the path.
        DiagnosticError: the spec has errors.
    """
    from infc.diag import DiagnosticError
    from infc.pipeline.edge_bundle import bundles_of_spec, whole_bundles_of
    from infc.spec import load_spec

    subject = options.subject
    if subject.is_dir() or subject.name.endswith(".tar.zst"):
        return whole_bundles_of(subject)
    if not subject.is_file():
        raise click.UsageError(f"{subject} is neither a bundle nor a spec: there is no such file or folder")
    loaded = load_spec(subject)
    if loaded.spec is None:
        raise DiagnosticError(loaded.diagnostics)
    found = bundles_of_spec(loaded.name, options.output)
    if not found:
        raise click.UsageError(
            f"{options.output} holds no bundle of {subject} for edge devices: run `infc compile {subject}` first"
        )
    return found


def _store(validation: EdgeValidation, options: DeviceOptions) -> None:
    """Keep the measured service time in the workspace of the spec, or of the bundle when it lies in one."""
    from infc.pipeline.edge_device import store_device_times, store_timing_cache
    from infc.spec.workspace import find_workspace

    if validation.service_time is None and validation.timing_cache is None:
        return
    workspace = find_workspace(options.subject)
    if not workspace.profiles.is_dir() and not workspace.lock.is_file():
        click.echo("service times were not stored: the bundle lies in no workspace with an infc.lock", err=True)
        return
    if validation.service_time is not None:
        path = store_device_times(validation.service_time, workspace)
        click.echo(f"stored measured service times in {path.name}: the next plan uses them", err=True)
    if kept := store_timing_cache(validation, workspace):
        click.echo(f"stored kernel times in {kept.name}: the next bundle brings them to other devices", err=True)


def _print(validation: EdgeValidation, format: str) -> None:
    if format == "json":
        from infc.report.edge_json import edge_validation_json

        click.echo(edge_validation_json(validation))
        return
    from infc.cli.terminal import has_color
    from infc.report.edge_text import render_edge_text

    click.echo(render_edge_text(validation, color=has_color()))
