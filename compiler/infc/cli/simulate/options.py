"""Options that every `infc simulate` command takes: the rate and the arrival process."""

from pathlib import Path

import click

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, PoissonArrival, TraceArrival
from infc.ir.quantity import QuantityError, parse_rate_rps

_MAX_CV = 20.0


def rate_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Requests per second from text such as 100/s."""
    try:
        return None if value is None else parse_rate_rps(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None


def arrival_option(_ctx: click.Context, _param: click.Parameter, value: str) -> Arrival:
    """The arrival process from text such as bursty:2.5 or trace:FILE."""
    kind, _, argument = value.partition(":")
    match kind, argument:
        case "poisson", "":
            return PoissonArrival()
        case "constant", "":
            return ConstantArrival()
        case "bursty", text:
            return BurstyArrival(cv=_cv(text))
        case "trace", text if text:
            return _trace(text)
        case _:
            raise click.BadParameter(f"{value!r} is none of poisson, constant, bursty:CV, trace:FILE")


def _cv(text: str) -> float:
    try:
        cv = float(text)
    except ValueError:
        cv = 0.0
    if not 0.0 < cv <= _MAX_CV:
        raise click.BadParameter("bursty takes the coefficient of variation of the gaps, up to 20: bursty:2.5")
    return cv


def _trace(text: str) -> TraceArrival:
    from infc.spec.trace import read_trace

    trace, problems = read_trace(Path(text), text, text)
    if trace is None:
        told = [f"{d.span.line if d.span else 1}: {d.message}" + (f" ({d.help})" if d.help else "") for d in problems]
        raise click.BadParameter("; ".join(f"{text}:{problem}" for problem in told))
    return trace


def own_rate_rps(arrival: Arrival) -> float:
    """The rate of a trace; a usage error for processes that have none of their own."""
    if not isinstance(arrival, TraceArrival):
        raise click.UsageError("Missing option '--rate', such as --rate 100/s")
    return (len(arrival.timestamps_s) - 1) / arrival.timestamps_s[-1]


def arrival_text(arrival: Arrival) -> str:
    """The process as a report names it."""
    match arrival:
        case PoissonArrival():
            return "poisson"
        case ConstantArrival():
            return "constant"
        case BurstyArrival(cv=cv):
            return f"bursty (cv {cv:g})"
        case TraceArrival(path=path):
            return f"trace {path}"
