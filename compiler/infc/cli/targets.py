"""`infc targets`: the hardware catalogue and its prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.complete import hardware_ids
from infc.cli.terminal import has_color
from infc.resolve.targets import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infc.ir.hardware import Hardware
    from infc.report.targets_text import ListedDevice
    from infc.resolve.targets import Catalogue

_FORMAT = click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
_OVERLAY = click.option(
    "--overlay",
    "--targets",
    "overlay",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Your own targets/ directory. Default: the one at the root of this workspace.",
)


@click.group()
def command() -> None:
    """List and show the hardware catalogue and its prices.

    Devices and prices are data with sources. Your own targets/ directory (hardware/<id>.yaml, prices/<provider>.yaml)
    at the root of the workspace adds devices and replaces prices; `infc targets path` says where both are.
    """


@command.command("list")
@click.option("--kind", type=click.Choice(["gpu", "jetson", "cpu", "other"]), help="Devices of this kind only.")
@_OVERLAY
@_FORMAT
def list_command(kind: str | None, overlay: Path | None, output: str) -> int:
    """List devices with memory, speed, power and price."""
    catalogue = _catalogue(overlay)
    devices = [device for device in catalogue.all() if kind in (None, device.kind)]
    if output == "json":
        _print_json(catalogue, devices)
        return 0
    from infc.report.targets_text import ListedDevice, render_list

    listed = [ListedDevice(hardware=device, price=catalogue.price(device.id, None, "on-demand")) for device in devices]
    if has_color():
        _print_table(listed)
    else:
        click.echo(render_list(listed))
    return 0


@command.command("show", short_help="Show everything known of one device.")
@click.argument("name", shell_complete=hardware_ids)
@_OVERLAY
@_FORMAT
def show_command(name: str, overlay: Path | None, output: str) -> int:
    """Show everything known of one device: figures with units, power modes, prices, sources."""
    catalogue = _catalogue(overlay)
    device = catalogue.find(name)
    if device is None:
        problem = catalogue.unknown_hardware(name, None)
        raise click.UsageError(f"{problem.message}\nhelp: {problem.help}")
    if output == "json":
        _print_json(catalogue, [device])
        return 0
    from infc.report.targets_text import render_device

    click.echo(render_device(device, catalogue.prices(device.id)))
    return 0


@command.command("path", short_help="Print where the catalogue is, and your own.")
@_OVERLAY
def path_command(overlay: Path | None) -> int:
    """Print where the built-in catalogue is, and your own targets/ directory when there is one."""
    catalogue = _catalogue(overlay)
    click.echo(f"built-in  {catalogue.path}")
    click.echo(f"overlay   {catalogue.overlay_path or 'none: the workspace has no targets/ directory of its own'}")
    return 0


def _catalogue(overlay: Path | None) -> Catalogue:
    from infc.diag import DiagnosticError, has_errors

    catalogue = load_catalogue(overlay or _workspace_overlay())
    if has_errors(catalogue.diagnostics):
        raise DiagnosticError(catalogue.diagnostics)
    return catalogue


def _workspace_overlay() -> Path:
    from infc.spec.workspace import find_workspace

    return find_workspace(Path.cwd() / "any.infc.yaml").targets


def _print_json(catalogue: Catalogue, devices: Sequence[Hardware]) -> None:
    from infc.report.targets_json import DescribedDevice, targets_document

    described = [
        DescribedDevice(
            hardware=device,
            price=catalogue.price(device.id, None, "on-demand"),
            prices=catalogue.prices(device.id),
        )
        for device in devices
    ]
    click.echo(json.dumps(targets_document(described), indent=2, ensure_ascii=False))


def _print_table(devices: Sequence[ListedDevice]) -> None:
    from rich.console import Console
    from rich.table import Table

    from infc.report.targets_text import COLUMNS, LEGEND, sections

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in (COLUMNS[0], COLUMNS[-1]) else "right", no_wrap=True)
    for title, rows in sections(devices):
        table.add_row(f"[bold]{title}[/bold]" if len(title) < 24 else "[bold]Comparison only[/bold]")
        for row in rows:
            table.add_row(*row)
        table.add_section()
    console = Console(highlight=False)
    console.print(table)
    for line in LEGEND:
        console.print(line, style="dim")
