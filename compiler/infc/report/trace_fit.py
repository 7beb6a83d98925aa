"""A fitted trace as text and as JSON, and as the `workload` of a spec."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from infc.ir.arrival import (
    DAY_S,
    Arrival,
    BurstyArrival,
    ConstantArrival,
    DiurnalArrival,
    PoissonArrival,
    TraceArrival,
)
from infc.sim.trace_fit import LOAD, ArrivalFit, Dispersion, Goodness, Miss, SizeSummary

_MISSES: Mapping[Miss, str] = {
    "bursts": "bursts last longer than independent gaps can make them",
    "evenness": "requests come more evenly than independent gaps can make them",
    "correlation": "gaps depend on those before them",
    "shape": "the gaps are not distributed like those of any process here",
    "waits": "requests would wait differently than the process says",
}
_TOKENS = ("prompt_tokens", "output_tokens")


@dataclass(frozen=True, kw_only=True)
class TraceReport:
    """A fit with what was read: `format` of the file, and the tick that its times were rounded to (0: none)."""

    fit: ArrivalFit
    format: str
    tick_s: float


def render_trace_text(report: TraceReport) -> str:
    """For a reader: what the trace is, the process, how good it is, rates to plan for, sizes, and a spec's block."""
    fit = report.fit
    lines = [
        f"trace       {fit.trace.path}: {report.format}, {len(fit.trace.timestamps_s):,} requests in "
        f"{_duration(fit.span_s)}, {fit.rate_rps:.4g}/s",
        f"process     {process_text(fit.best)}{_runners_up(fit)}",
        *(_fit_lines(fit.goodness) if fit.goodness else ()),
        *_rate_lines(fit),
        *(f"{'sizes' if not row else '':<12}{_size_text(size)}" for row, size in enumerate(fit.sizes)),
        *(f"note: {note}" for note in notes(report)),
        "",
        "# for the spec",
        workload_yaml(fit),
    ]
    return "\n".join(lines)


def render_trace_json(report: TraceReport) -> str:
    """The same as one JSON object; rates per second, waits in milliseconds."""
    fit = report.fit
    document = {
        "format_version": "1.0",
        "trace": {
            "path": fit.trace.path,
            "format": report.format,
            "requests": len(fit.trace.timestamps_s),
            "span_s": fit.span_s,
            "tick_s": report.tick_s,
        },
        "rate_rps": fit.rate_rps,
        "cv": fit.cv,
        "process": _process_json(fit.best),
        "alternatives": [
            {**_process_json(each.arrival), "bic_difference": each.bic - fit.processes[0].bic}
            for each in fit.processes[1:]
            if not isinstance(fit.best, ConstantArrival)
        ],
        "is_good": None if fit.goodness is None else fit.goodness.is_good,
        "goodness": None if fit.goodness is None else _goodness_json(fit.goodness),
        "peaks": [{"window_s": w.window_s, "p99_rps": w.p99_rps, "max_rps": w.max_rps} for w in fit.windows],
        "trend": {"ratio": fit.trend.ratio, "is_significant": fit.trend.is_significant},
        "sizes": {
            size.column: {"mean": size.mean, "p50": size.p50, "p90": size.p90, "p99": size.p99, "max": size.max}
            for size in fit.sizes
        },
        "notes": notes(report),
        "workload": workload_yaml(fit),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def workload_yaml(fit: ArrivalFit) -> str:
    """The `workload` of a spec that asks for this traffic."""
    lines = ["workload:", f"  rate: {rate_text(fit.rate_rps)}"]
    if fit.peak_rps is not None:
        lines.append(f"  peak: {rate_text(fit.peak_rps)}  # the busiest minutes")
    lines.append(f"  arrival:{_arrival_yaml(fit.recommended)}")
    by_column = {size.column: size for size in fit.sizes if size.column != "batch"}
    lines += [f"  {name}: {_size_yaml(by_column[name])}" for name in _TOKENS if name in by_column]
    axes = [size for name, size in by_column.items() if name not in _TOKENS]
    if axes:
        lines += ["  axes:", *(f"    {size.column}: {_size_yaml(size)}" for size in axes)]
    return "\n".join(lines)


def notes(report: TraceReport) -> list[str]:
    """What the reader should know before using the fit."""
    fit, found = report.fit, []
    if fit.goodness is None:
        found.append("fewer than 100 requests say too little to judge a process: replay the trace, or record more")
    elif not fit.goodness.is_good:
        what = "; ".join(_MISSES[miss] for miss in fit.goodness.misses)
        found.append(f"{what}: replay the trace instead")
    if report.tick_s:
        found.append(
            f"the times are multiples of {report.tick_s:g} s: requests of one tick were spread over it at random, and "
            "shorter bursts cannot be seen"
        )
    if fit.trend.is_significant:
        change = f"{fit.trend.ratio:.2f} times"
        found.append(
            f"the rate of the last third is {change} that of the first: ask whether the mean is what you plan for"
        )
    if fit.span_s < DAY_S:
        found.append(f"a trace of {_duration(fit.span_s)} does not show the course of a day")
    if report.format.startswith("access log"):
        found.append("nginx logs when an answer has been sent, Apache when the request came; other requests count too")
    return found


def process_text(arrival: Arrival) -> str:
    """A process as a report names it."""
    match arrival:
        case ConstantArrival():
            return "constant"
        case PoissonArrival():
            return "poisson"
        case BurstyArrival(cv=cv):
            return f"bursty, cv {cv:.3g}" if cv >= 1.0 else f"smoother than poisson, cv {cv:.3g}"
        case DiurnalArrival(cv=cv):
            tail = "" if cv == 1.0 else f", cv {cv:.3g}"
            period = _duration(arrival.period_s)
            return f"diurnal, peak {arrival.peak_to_mean:.3g} times the mean over {period}{tail}"
        case TraceArrival(path=path):
            return f"trace {path}"
        case _:
            assert_never(arrival)


def rate_text(rate_rps: float) -> str:
    """A rate as a spec writes it, with four digits.

    >>> rate_text(123.456), rate_text(0.01), rate_text(1e-4)
    ('123.5/s', '0.6/min', '0.36/h')
    """
    for per_s, unit in ((1.0, "s"), (60.0, "min"), (3600.0, "h")):
        if rate_rps * per_s >= 0.1 or unit == "h":
            value = rate_rps * per_s
            return (f"{value:.0f}" if value >= 1000 else f"{value:.4g}") + f"/{unit}"
    raise AssertionError("the loop returns")


def _arrival_yaml(arrival: Arrival) -> str:
    match arrival:
        case ConstantArrival():
            return " constant"
        case PoissonArrival():
            return " poisson"
        case BurstyArrival(cv=cv):
            return f" {{bursty: {{cv: {cv:.3g}}}}}"
        case DiurnalArrival(multipliers=multipliers, cv=cv):
            cv_text = "" if cv == 1.0 else f", cv: {cv:.3g}"
            if arrival.period_s != DAY_S:
                course = f"peak_to_mean: {min(20.0, arrival.peak_to_mean):.3g}, period: {arrival.period_s:g}s"
                return f" {{diurnal: {{{course}{cv_text}}}}}"
            hours = ", ".join(f"{value:.3g}" for value in multipliers)
            return f"\n    diurnal:\n      hourly: [{hours}]" + (f"\n      cv: {cv:.3g}" if cv_text else "")
        case TraceArrival(path=path):
            return f" {{trace: {json.dumps(path, ensure_ascii=False)}}}"
        case _:
            assert_never(arrival)


def _size_yaml(size: SizeSummary) -> str:
    return f"{{p50: {size.p50}, p90: {size.p90}, p99: {size.p99}, max: {size.max}}}"


def _runners_up(fit: ArrivalFit) -> str:
    if isinstance(fit.best, ConstantArrival) or len(fit.processes) == 1:
        return f" (gaps vary by {fit.cv:.1%})" if isinstance(fit.best, ConstantArrival) else ""
    second = fit.processes[1]
    return f" (evidence over {process_text(second.arrival)}: BIC lower by {second.bic - fit.processes[0].bic:,.0f})"


def _fit_lines(found: Goodness) -> list[str]:
    queue = found.queue
    services = 1.0 / queue.service_s
    verdict = (
        "good: a plan may use it in place of the trace" if found.is_good else "poor: a plan should replay the trace"
    )
    lines = [
        f"fit         {verdict}",
        f"            p99 wait at one server at {LOAD:.0%} load, in service times: {queue.trace_s * services:.3g} "
        f"under the trace, {queue.model_s * services:.3g} under the process ({queue.low_s * services:.3g} to "
        f"{queue.high_s * services:.3g})",
        f"            KS distance of the gaps {found.ks_distance:.3f} (p {found.ks_p_value:.2f}), correlation of "
        f"successive gaps {found.autocorrelation:.2f}",
    ]
    if found.dispersions:
        windows = ", ".join(_dispersion_text(each) for each in found.dispersions)
        lines.append(f"            variance of counts over their mean, trace and process: {windows}")
    return lines


def _dispersion_text(each: Dispersion) -> str:
    return f"{_duration(each.window_s)} {each.trace:.3g} and {each.model:.3g}"


def _rate_lines(fit: ArrivalFit) -> list[str]:
    if not fit.windows:
        return []
    peaks = "   ".join(f"{_duration(w.window_s)} {w.p99_rps:.4g}/s (max {w.max_rps:.4g}/s)" for w in fit.windows)
    return [f"peaks       p99 rate in windows of {peaks}"]


def _size_text(size: SizeSummary) -> str:
    return (
        f"{size.column}: mean {size.mean:,.1f}   p50 {size.p50:,}   p90 {size.p90:,}   p99 {size.p99:,}   "
        f"max {size.max:,}"
    )


def _process_json(arrival: Arrival) -> dict[str, object]:
    found: dict[str, object] = {"kind": "constant", "cv": None, "multipliers": None, "period_s": None}
    match arrival:
        case ConstantArrival():
            return found
        case PoissonArrival():
            return {**found, "kind": "poisson"}
        case BurstyArrival(cv=cv):
            return {**found, "kind": "bursty", "cv": cv}
        case DiurnalArrival(multipliers=multipliers, period_s=period_s, cv=cv):
            return {"kind": "diurnal", "cv": cv, "multipliers": list(multipliers), "period_s": period_s}
        case TraceArrival():
            return {**found, "kind": "trace"}
        case _:
            assert_never(arrival)


def _goodness_json(found: Goodness) -> dict[str, object]:
    queue = found.queue
    return {
        "misses": list(found.misses),
        "ks_distance": found.ks_distance,
        "ks_p_value": found.ks_p_value,
        "autocorrelation": found.autocorrelation,
        "dispersion": [{"window_s": d.window_s, "trace": d.trace, "process": d.model} for d in found.dispersions],
        "reference_queue": {
            "load": LOAD,
            "service_ms": queue.service_s * 1e3,
            "p99_wait_ms": {
                "trace": queue.trace_s * 1e3,
                "process": queue.model_s * 1e3,
                "low": queue.low_s * 1e3,
                "high": queue.high_s * 1e3,
            },
        },
    }


def _duration(seconds: float) -> str:
    for size_s, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size_s or (unit != "days" and seconds >= size_s):
            return f"{seconds / size_s:.3g} {unit}"
    return f"{seconds:.3g} s"
