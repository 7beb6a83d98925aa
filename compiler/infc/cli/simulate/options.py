"""Options that every `infc simulate` command takes: the rate and the arrival process."""

from pathlib import Path
from typing import assert_never

import click

from infc.ir.arrival import (
    DAY_S,
    MAX_STREAMS,
    Arrival,
    BurstyArrival,
    ConstantArrival,
    DiurnalArrival,
    PoissonArrival,
    TraceArrival,
    diurnal_multipliers,
)
from infc.ir.quantity import QuantityError, parse_duration_s, parse_rate_rps

_MAX_CV = 20.0
_MAX_PEAK_TO_MEAN = 20.0
ARRIVAL_HELP = (
    "poisson, constant, constant:STREAMS (senders that know nothing of each other, such as cameras), "
    "bursty:CV (gamma gaps), diurnal:PEAK[:PERIOD[:CV]] (a rate with one peak of PEAK times its "
    "mean each period, from the peak on), or trace:FILE (CSV with a timestamp_s column, access log, LLM trace)."
)


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
        case "constant", text:
            return ConstantArrival(streams=_streams(text))
        case "bursty", text:
            return BurstyArrival(cv=_cv(text, "bursty:2.5"))
        case "diurnal", text if text:
            return _diurnal(text)
        case "trace", text if text:
            return _trace(text)
        case _:
            raise click.BadParameter(
                f"{value!r} is none of poisson, constant, constant:STREAMS, bursty:CV, diurnal:PEAK, trace:FILE"
            )


def _streams(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MAX_STREAMS:
        raise click.BadParameter(f"constant takes a number of senders, from 1 to {MAX_STREAMS}: constant:4")
    return int(text)


def _cv(text: str, example: str) -> float:
    cv = _number(text)
    if not 0.0 < cv <= _MAX_CV:
        kind = example.partition(":")[0]
        raise click.BadParameter(f"{kind} takes the coefficient of variation of the gaps, up to 20: {example}")
    return cv


def _diurnal(text: str) -> DiurnalArrival:
    peak_text, _, rest = text.partition(":")
    period_text, _, cv_text = rest.partition(":")
    peak = _number(peak_text)
    if not 1.0 <= peak <= _MAX_PEAK_TO_MEAN:
        raise click.BadParameter("diurnal takes the peak as a multiple of the mean rate, from 1 to 20: diurnal:2.5")
    try:
        period_s = parse_duration_s(period_text) if period_text else DAY_S
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None
    cv = _cv(cv_text, "diurnal:2.5:24h:1.5") if cv_text else 1.0
    return DiurnalArrival(multipliers=diurnal_multipliers(peak), period_s=period_s, cv=cv)


def _number(text: str) -> float:
    """The number in a text; 0 where there is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


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
        case ConstantArrival(streams=1):
            return "constant"
        case ConstantArrival(streams=streams):
            return f"constant ({streams} senders)"
        case BurstyArrival(cv=cv):
            return f"bursty (cv {cv:g})"
        case DiurnalArrival(period_s=period_s, cv=cv):
            cv_text = "" if cv == 1.0 else f", cv {cv:g}"
            return f"diurnal (peak {arrival.peak_to_mean:.3g} times the mean, period {period_s:g} s{cv_text})"
        case TraceArrival(path=path, timestamps_s=timestamps_s):
            return f"trace {path} ({len(timestamps_s)} requests)"
        case _:
            assert_never(arrival)
