"""`infc drift`: what runs against what is locked."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import INCONCLUSIVE, LOCK_STALE, OK, SLO_NOT_MET, SPEC_INVALID
from infc.ir.quantity import QuantityError, parse_duration_s

if TYPE_CHECKING:
    from infc.diag import Diagnostic

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
@click.option("--endpoint", metavar="URL", required=True, help="The running vLLM server: http://host:8000.")
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
    spec: Path, endpoint: str, target: str | None, window_s: float, since_start: bool, detailed: bool, format: str
) -> int:
    r"""Compare a running vLLM server with infc.lock and the spec: what runs, what it is asked, how fast it is.

    Looks at the server's version, model and limits, at the lengths and the rate of its requests, and at the latencies
    that it counts, and says of each: same, drifted, or not visible (which is never taken for the same). Limits such as
    max-num-seqs show only on a server in development mode (VLLM_SERVER_DEV_MODE=1). Nothing is sent to the model, and
    nothing is changed. A server with a key gets it from VLLM_API_KEY.

    Exits 0 when nothing drifted, 3 when an objective is missed, 4 when something drifted or the deployment is not
    locked, 6 when nothing drifted but the requests cannot tell whether the SLO holds, 5 when the spec is invalid, 1
    when the server does not answer.

    \b
    Examples:
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000 --window 5m --format json
      infc drift specs/chat.infc.yaml --endpoint http://gpu-7:8000 --since-start --detailed
    """
    from infc.pipeline.drift import DriftRequest, find_drift

    request = DriftRequest(spec=spec, endpoint=endpoint, target=target, window_s=None if since_start else window_s)
    report, problems = find_drift(request, announce=lambda line: click.echo(line, err=True))
    if report is None:
        _show(problems)
        is_of_lock = any(each.id.startswith(("lock-", "drift-")) for each in problems)
        return LOCK_STALE if is_of_lock else SPEC_INVALID
    if format == "json":
        from infc.report.drift_json import drift_json

        click.echo(drift_json(report))
    else:
        from infc.cli.terminal import has_color
        from infc.report.drift_text import render_drift_text

        click.echo(render_drift_text(report, detailed=detailed, color=has_color()))
    return {"same": OK, "drifted": LOCK_STALE, "slo-missed": SLO_NOT_MET, "cannot-tell": INCONCLUSIVE}[report.verdict]


def _show(problems: "tuple[Diagnostic, ...]") -> None:
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(problems, color=has_color(stderr=True)), err=True)
