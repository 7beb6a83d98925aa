"""Drift of recorded traffic: a trace against the spec's workload, and the plan for it where it is another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from infc.diag import Diagnostic
from infc.ir.problem import AxisDistribution, LlmProblem, Problem, TokenTraffic, Traffic
from infc.lock.drift import DriftReport
from infc.lock.drift.item import lock_item
from infc.lock.drift.trace import trace_items
from infc.pipeline.drift.locked import Deployed, open_entry, resolve_locked, stale_inputs
from infc.pipeline.drift.observed import planned_for, still_fits
from infc.pipeline.locking import problem_of
from infc.sim.percentile import percentiles
from infc.sim.trace_fit import ArrivalFit, fit_arrivals
from infc.spec.trace import read_recorded


@dataclass(frozen=True, kw_only=True)
class TraceDriftRequest:
    """Which record to compare: a CSV with `timestamp_s`, or another of the formats that traces come in."""

    spec: Path
    trace: Path
    target: str | None = None


def traffic_drift(
    request: TraceDriftRequest, *, announce: Callable[[str], None]
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    """Compare recorded traffic with the workload that a deployment was planned for."""
    locked, problems = open_entry(request.spec, request.target)
    if locked is None:
        return None, problems
    opened, entry = locked
    resolved, problems = resolve_locked(opened)
    if resolved is None:
        return None, problems
    shown = request.trace.as_posix()
    read, problems = read_recorded(request.trace, shown, shown)
    if read is None:
        return None, problems
    problem = problem_of(resolved, entry)
    fit = fit_arrivals(read.arrival)
    stale = stale_inputs(opened, entry)
    report = DriftReport(
        name=entry.name,
        target=entry.target,
        spec=opened.loaded.path.as_posix(),
        endpoint=shown,
        server=f"recorded traffic ({read.format})",
        requests=len(read.arrival.timestamps_s),
        duration_s=fit.span_s,
        is_since_start=False,
        items=(lock_item(stale), *trace_items(problem, fit)),
        objectives=(),
        notes=_notes(fit, read.tick_s),
        subject="trace",
    )
    if still_fits(report):
        return report, ()
    announce("planning for the recorded workload")
    traffic = observed_traffic(problem.traffic, report, fit)
    if isinstance(problem, LlmProblem):
        llm = Deployed(loaded=opened.loaded, entry=entry, problem=problem, stale=stale)
        return replace(report, plan=planned_for(llm, traffic, observed_lengths(problem.tokens, fit))), ()
    onnx: Deployed[Problem] = Deployed(loaded=opened.loaded, entry=entry, problem=problem, stale=stale)
    return replace(report, plan=planned_for(onnx, traffic)), ()


def observed_traffic(planned: Traffic, report: DriftReport, fit: ArrivalFit) -> Traffic:
    """The spec's traffic with what surely is another in the record: peak, mean rate, pattern of arrivals, axes."""
    drifted = {item.id: item for item in report.drifted}
    peak_rps, rate_rps = planned.peak_rps, planned.rate_rps
    if "peak-rate" in drifted:
        peak_rps = max(peak_rps, max(each.max_rps for each in fit.windows if each.window_s == _longest(fit)))
    if "mean-rate" in drifted:
        rate_rps = rate_rps * fit.rate_rps / planned.mean_rps
    arrival = fit.recommended if "burstiness" in drifted else planned.arrival
    axes = {
        axis: observed_sizes(sizes, fit.trace.sizes[axis]) if axis in fit.trace.sizes else sizes
        for axis, sizes in planned.axes.items()
    }
    return replace(planned, arrival=arrival, peak_rps=max(peak_rps, rate_rps), rate_rps=rate_rps, axes=axes)


def _longest(fit: ArrivalFit) -> float:
    return max(each.window_s for each in fit.windows)


def observed_lengths(planned: TokenTraffic, fit: ArrivalFit) -> TokenTraffic:
    """The recorded lengths, at the percentiles that the spec names."""
    sizes = fit.trace.sizes
    return replace(
        planned,
        prompt=observed_sizes(planned.prompt, sizes["prompt_tokens"]) if "prompt_tokens" in sizes else planned.prompt,
        output=observed_sizes(planned.output, sizes["output_tokens"]) if "output_tokens" in sizes else planned.output,
    )


def observed_sizes(planned: AxisDistribution, sizes: Sequence[int]) -> AxisDistribution:
    """The percentiles of recorded sizes, and their maximum where it is above the planned one.

    >>> observed_sizes(AxisDistribution(percentiles={50.0: 10}, maximum=100), [5, 20, 30])
    AxisDistribution(percentiles={50.0: 20}, maximum=100)
    """
    values = np.asarray(sizes, dtype=np.float64)
    labels = sorted(planned.percentiles)
    found = percentiles(values, labels) if labels else ()
    maximum = max(planned.maximum, int(values.max()))
    return AxisDistribution(
        percentiles={label: max(1, int(size)) for label, size in zip(labels, found, strict=True)}, maximum=maximum
    )


def _notes(fit: ArrivalFit, tick_s: float) -> tuple[str, ...]:
    notes = ["bounds are 95%; a peak is judged by the busiest stretch, and how high chance alone would make it"]
    if fit.trend.is_significant:
        notes.append(f"the rate changes: its last third is {fit.trend.ratio:.2g} times its first")
    if tick_s:
        notes.append(f"times are in steps of {tick_s:g} s: requests of one step were spread over it")
    return tuple(notes)
