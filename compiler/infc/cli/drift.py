"""`infc drift`: what runs against what is locked."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from infc.cli.drift_request import Asked, request_from
from infc.cli.edge import FAILURE, INCONCLUSIVE, LOCK_STALE, OK, SLO_NOT_MET, SPEC_INVALID
from infc.ir.quantity import QuantityError, parse_duration_s

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.lock.drift import DriftReport
    from infc.lock.drift.fleet import FleetDrift, FleetVerdict

Format: TypeAlias = Literal["text", "json", "prometheus"]
_MIN_WINDOW_S = 1.0
_MAX_WINDOW_S = 24 * 3600.0
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _window_s(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None
    if not _MIN_WINDOW_S <= seconds <= _MAX_WINDOW_S:
        raise click.BadParameter(f"{value!r} is not between {_MIN_WINDOW_S:g}s and 24h")
    return seconds


@click.command(name="drift")
@click.argument("spec", metavar="SPEC", type=_FILE)
@click.argument("devices", metavar="[ssh://DEVICE]...", nargs=-1)
@click.option(
    "--endpoint", metavar="URL", help="A running vLLM or Triton, http://host:8000, or an edge device, ssh://host."
)
@click.option(
    "--metrics", metavar="URL", help="Triton's metrics, where their port is not the one of HTTP and two: host:8002."
)
@click.option(
    "--repository", metavar="DIR", type=_FOLDER, help="The model repository that Triton serves: its files count, too."
)
@click.option("--cluster", is_flag=True, help="Objects in a Kubernetes cluster, read through kubectl.")
@click.option("--context", metavar="NAME", help="kubectl's context. Default: the current one.")
@click.option("--namespace", metavar="NAME", help="Where the objects are. Default: the one of the manifests.")
@click.option(
    "--rendered", metavar="DIR", type=_FOLDER, help="A bundle, its kubernetes/ folder, or manifests made from it."
)
@click.option("--trace", metavar="FILE", type=_FILE, help="Recorded traffic, against the spec's workload.")
@click.option(
    "--devices", "device_list", metavar="FILE", type=_FILE,
    help="Addresses of edge devices, one a line; # begins a comment.",
)  # fmt: skip
@click.option(
    "--bundle", metavar="DIR", type=_FOLDER,
    help="The compiled bundle, for what the lock has only digests of. Default: the one in dist/, if it is the locked.",
)  # fmt: skip
@click.option("--target", metavar="NAME", help="Which deployment, where the spec is locked for several targets.")
@click.option(
    "--window", "window_s", metavar="TIME", callback=_window_s, default="30s", show_default=True,
    help="How long to watch the server's traffic.",
)  # fmt: skip
@click.option("--since-start", is_flag=True, help="Look once, at all that the server counted since it started.")
@click.option("--detailed", is_flag=True, help="List what agrees, too.")
@click.option(
    "--format", "format", type=click.Choice(["text", "json", "prometheus"]), default="text", show_default=True,
    help="Output format.",
)  # fmt: skip
@click.option(
    "--at", "at_s", metavar="SECONDS", type=click.FloatRange(min=0.0), help="Unix time of the run, for prometheus."
)
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write there, whole or not."
)
def command(
    spec: Path,
    devices: tuple[str, ...],
    endpoint: str | None,
    metrics: str | None,
    repository: Path | None,
    cluster: bool,
    context: str | None,
    namespace: str | None,
    rendered: Path | None,
    trace: Path | None,
    device_list: Path | None,
    bundle: Path | None,
    target: str | None,
    window_s: float,
    since_start: bool,
    detailed: bool,
    format: Format,
    at_s: float | None,
    out: Path | None,
) -> int:
    r"""Compare what runs, or was rendered or recorded, with infc.lock and the spec.

    A server (--endpoint): version, model, configuration, engine; the rate and shape of its requests; its latencies
    against the prediction and the SLO. Edge devices (ssh://): release, power mode, versions and what they measured. A
    cluster (--cluster): every object against its manifest. A folder (--rendered): every file against its digest.
    Recorded traffic (--trace): rate, peak, pattern and sizes against the workload.

    Each item is same, drifted, or not visible (which is never taken for the same). Where the traffic is another than
    the spec's, the plan for it is printed beside the locked one. Nothing is sent to a model, and nothing is changed.
    A vLLM with a key gets it from VLLM_API_KEY.

    Exits 0 when nothing drifted, 3 when an objective is missed, 4 when something drifted or the deployment is not
    locked, 6 when nothing drifted but the requests cannot tell whether the SLO holds, 5 when the spec is invalid, 1
    when what is asked does not answer. Of several devices the worst counts: 3, 4, 1, 6, 0.

    \b
    Examples:
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000 --since-start --detailed
      infc drift specs/resnet.infc.yaml --endpoint http://gpu-8:8000 --repository /models --window 2m
      infc drift specs/resnet.infc.yaml --cluster --context prod --namespace vision
      infc drift specs/resnet.infc.yaml --rendered rendered/prod/resnet
      infc drift specs/resnet.infc.yaml --trace traffic/monday.csv --format json
      infc drift specs/resnet.infc.yaml --cluster --format prometheus --out /var/lib/node_exporter/infc.prom
      infc drift specs/dock-camera.infc.yaml ssh://lab@orin-3
      infc drift specs/dock-camera.infc.yaml --devices devices.txt
    """
    if at_s is not None and format != "prometheus":
        raise click.UsageError("--at is of --format prometheus")
    asked = Asked(
        spec=spec,
        target=target,
        devices=devices,
        device_list=device_list,
        endpoint=endpoint,
        metrics=metrics,
        repository=repository,
        window_s=None if since_start else window_s,
        is_cluster=cluster,
        context=context,
        namespace=namespace,
        rendered=rendered,
        trace=trace,
        bundle=bundle,
    )
    request = request_from(asked)
    from infc.pipeline.drift import find_drift

    found, problems = find_drift(request, announce=lambda line: click.echo(line, err=True))
    if found is None:
        return _refused(problems)
    one = asked.one_device(found)
    if one is not None and one.problem is not None:
        _show((one.problem,))
        return FAILURE
    shown = found if one is None or one.report is None else one.report
    _print(shown, detailed=detailed, format=format, at_s=at_s, out=out)
    return _CODES[found.verdict]


def _print(
    found: "DriftReport | FleetDrift", *, detailed: bool, format: Format, at_s: float | None, out: Path | None
) -> None:
    from infc.cli.terminal import has_color
    from infc.report.drift import render_drift

    text = render_drift(found, format, detailed=detailed, color=out is None and has_color(), at_s=at_s)
    if out is None:
        click.echo(text)
        return
    from infc.diag import ToolError
    from infc.resolve.atomic_write import write_text_atomically

    try:
        write_text_atomically(out, text + "\n")
    except OSError as error:
        raise ToolError(
            f"cannot write {out}: {error.strerror or error}", help="check the folder and its rights"
        ) from error


_CODES: "dict[FleetVerdict, int]" = {
    "same": OK,
    "drifted": LOCK_STALE,
    "slo-missed": SLO_NOT_MET,
    "cannot-tell": INCONCLUSIVE,
    "no-answer": FAILURE,
}


def _refused(problems: "tuple[Diagnostic, ...]") -> int:
    _show(problems)
    is_of_lock = any(each.id.startswith(("lock-", "drift-")) for each in problems)
    return LOCK_STALE if is_of_lock else SPEC_INVALID


def _show(problems: "tuple[Diagnostic, ...]") -> None:
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(problems, color=has_color(stderr=True)), err=True)
