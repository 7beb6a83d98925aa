"""`infc drift`: what runs against what is locked."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import FAILURE, INCONCLUSIVE, LOCK_STALE, OK, SLO_NOT_MET, SPEC_INVALID
from infc.ir.quantity import QuantityError, parse_duration_s

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.lock.drift import DriftReport
    from infc.lock.drift.fleet import FleetDrift, FleetVerdict

_MIN_WINDOW_S = 1.0
_MAX_WINDOW_S = 24 * 3600.0


def _window_s(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None
    if not _MIN_WINDOW_S <= seconds <= _MAX_WINDOW_S:
        raise click.BadParameter(f"{value!r} is not between {_MIN_WINDOW_S:g}s and 24h")
    return seconds


@click.command(name="drift")
@click.argument("spec", metavar="SPEC", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("devices", metavar="[ssh://DEVICE]...", nargs=-1)
@click.option(
    "--endpoint", metavar="URL", help="The running vLLM server, http://host:8000, or an edge device, ssh://host."
)
@click.option(
    "--devices", "device_list", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Addresses of edge devices, one a line; # begins a comment.",
)  # fmt: skip
@click.option("--target", metavar="NAME", help="Which deployment, where the spec is locked for several targets.")
@click.option(
    "--window", "window_s", metavar="TIME", callback=_window_s, default="30s", show_default=True,
    help="How long to watch the server's traffic.",
)  # fmt: skip
@click.option("--since-start", is_flag=True, help="Look once, at all that the server counted since it started.")
@click.option("--detailed", is_flag=True, help="List what agrees, too.")
@click.option(
    "--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
def command(
    spec: Path,
    devices: tuple[str, ...],
    endpoint: str | None,
    device_list: Path | None,
    target: str | None,
    window_s: float,
    since_start: bool,
    detailed: bool,
    format: str,
) -> int:
    r"""Compare a running vLLM server, or edge devices, with infc.lock and the spec.

    Of a server: its version, model and limits, the lengths and the rate of its requests, and the latencies that it
    counts; each is same, drifted, or not visible (which is never taken for the same). Limits such as max-num-seqs show
    only on a server in development mode (VLLM_SERVER_DEV_MODE=1). Nothing is sent to the model, and nothing is changed.
    A server with a key gets it from VLLM_API_KEY.

    Of edge devices, asked over ssh: the release and its content, power mode, L4T, TensorRT and engine against what was
    measured when the release was accepted, the state of its service, and that measurement against the SLO. Several
    devices make one table.

    Exits 0 when nothing drifted, 3 when an objective is missed, 4 when something drifted or the deployment is not
    locked, 6 when nothing drifted but the requests cannot tell whether the SLO holds, 5 when the spec is invalid, 1
    when the server or a device does not answer. Of several devices the worst counts: 3, 4, 1, 6, 0.

    \b
    Examples:
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000 --window 5m --format json
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000 --since-start --detailed
      infc drift specs/dock-camera.infc.yaml ssh://lab@orin-3
      infc drift specs/dock-camera.infc.yaml --devices devices.txt
    """
    addresses = [*devices, *([] if device_list is None else _addresses_in(device_list))]
    if endpoint is not None and endpoint.startswith("ssh:"):
        addresses, endpoint = [*addresses, endpoint], None
    if addresses or device_list is not None:
        if endpoint is not None:
            raise click.UsageError("give --endpoint for a server, or addresses of devices, not both")
        if not addresses:
            raise click.UsageError(f"{device_list} holds no address")
        return _devices(
            spec,
            addresses,
            target,
            is_table=len(addresses) > 1 or device_list is not None,
            detailed=detailed,
            format=format,
        )
    if endpoint is None:
        raise click.UsageError("name what runs: --endpoint http://host:8000 for vLLM, ssh://DEVICE for an edge device")
    return _server(spec, endpoint, target, None if since_start else window_s, detailed=detailed, format=format)


def _server(
    spec: Path, endpoint: str, target: str | None, window_s: float | None, *, detailed: bool, format: str
) -> int:
    from infc.pipeline.drift import DriftRequest, find_drift

    request = DriftRequest(spec=spec, endpoint=endpoint, target=target, window_s=window_s)
    report, problems = find_drift(request, announce=lambda line: click.echo(line, err=True))
    if report is None:
        return _refused(problems)
    return _print(report, detailed=detailed, format=format)


def _devices(
    spec: Path, addresses: list[str], target: str | None, *, is_table: bool, detailed: bool, format: str
) -> int:
    from infc.build.builders.address import AddressError
    from infc.pipeline.edge_drift import DeviceDriftRequest, find_device_drift
    from infc.validate.edge.address import parse_device

    try:
        devices = tuple(parse_device(address) for address in dict.fromkeys(addresses))
    except AddressError as error:
        raise click.UsageError(str(error)) from None
    request = DeviceDriftRequest(spec=spec, devices=devices, target=target)
    fleet, problems = find_device_drift(request, announce=lambda line: click.echo(line, err=True))
    if fleet is None:
        return _refused(problems)
    if is_table:
        return _print_fleet(fleet, detailed=detailed, format=format)
    (device,) = fleet.devices
    if device.report is None:
        _show(() if device.problem is None else (device.problem,))
        return FAILURE
    return _print(device.report, detailed=detailed, format=format)


def _print(report: "DriftReport", *, detailed: bool, format: str) -> int:
    if format == "json":
        from infc.report.drift_json import drift_json

        click.echo(drift_json(report))
    else:
        from infc.cli.terminal import has_color
        from infc.report.drift_text import render_drift_text

        click.echo(render_drift_text(report, detailed=detailed, color=has_color()))
    return _CODES[report.verdict]


def _print_fleet(fleet: "FleetDrift", *, detailed: bool, format: str) -> int:
    if format == "json":
        from infc.report.drift_fleet import fleet_drift_json

        click.echo(fleet_drift_json(fleet))
    else:
        from infc.cli.terminal import has_color
        from infc.report.drift_fleet import render_fleet_text

        click.echo(render_fleet_text(fleet, detailed=detailed, color=has_color()))
    return _CODES[fleet.verdict]


_CODES: "dict[FleetVerdict, int]" = {
    "same": OK,
    "drifted": LOCK_STALE,
    "slo-missed": SLO_NOT_MET,
    "cannot-tell": INCONCLUSIVE,
    "no-answer": FAILURE,
}


def _addresses_in(path: Path) -> list[str]:
    """The addresses of a file; UsageError with the line for one that is none."""
    from infc.build.builders.address import AddressError
    from infc.validate.edge.address import parse_device

    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            parse_device(text)
        except AddressError as error:
            raise click.UsageError(f"{path}:{number}: {error}") from None
        found.append(text)
    return found


def _refused(problems: "tuple[Diagnostic, ...]") -> int:
    _show(problems)
    is_of_lock = any(each.id.startswith(("lock-", "drift-")) for each in problems)
    return LOCK_STALE if is_of_lock else SPEC_INVALID


def _show(problems: "tuple[Diagnostic, ...]") -> None:
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(problems, color=has_color(stderr=True)), err=True)
