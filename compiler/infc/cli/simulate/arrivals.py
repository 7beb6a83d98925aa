"""`infc simulate arrivals`: the arrival process of recorded traffic, and how good it is."""

from pathlib import Path

import click

from infc.cli.edge import OK, SPEC_INVALID
from infc.ir.arrival import DAY_S
from infc.ir.quantity import QuantityError, parse_duration_s


def _period(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float:
    try:
        return DAY_S if value is None else parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None


@click.command(short_help="Fit an arrival process to recorded traffic.")
@click.argument("trace", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--period",
    "period_s",
    metavar="TIME",
    callback=_period,
    help="Look for a rate that runs the same course every TIME, such as 1h. Default: 24h.",
)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def arrivals(trace: Path, period_s: float, output: str) -> int:
    r"""Fit an arrival process to recorded traffic, and say how good the fit is.

    TRACE is a CSV with a timestamp_s column, an access log (common or combined format, or JSON lines), or an LLM trace
    as Mooncake, AIPerf, BurstGPT, Azure or `vllm bench serve --save-detailed` write it; the content tells which.

    Prints the process with the best evidence (constant, poisson, bursty, diurnal), whether a plan may use it in place
    of the trace, the rates to plan for, the sizes, and the workload to paste into a spec.

    Exits 0 with a fit, good or poor; 5 when the file is no trace.

    \b
    Examples:
      infc simulate arrivals traffic/monday.csv
      infc simulate arrivals access.log --period 1h --format json
    """
    from infc.spec.trace import read_recorded

    read, problems = read_recorded(trace, trace.as_posix(), trace.as_posix())
    if problems or read is None:
        from infc.cli.terminal import has_color
        from infc.report.diagnostics_text import render_diagnostics

        click.echo(render_diagnostics(problems, color=has_color(stderr=True)), err=True)
        return SPEC_INVALID
    from infc.report.trace_fit import TraceReport, render_trace_json, render_trace_text
    from infc.sim.trace_fit import fit_arrivals

    report = TraceReport(fit=fit_arrivals(read.arrival, period_s=period_s), format=read.format, tick_s=read.tick_s)
    click.echo(render_trace_json(report) if output == "json" else render_trace_text(report))
    return OK
