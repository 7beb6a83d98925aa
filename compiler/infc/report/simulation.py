"""A simulation of Triton as text and as JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infc.ir.interval import Interval
from infc.report.simulation_setting import batches_text, plural, share_text, step_text
from infc.sim.percentile import percentiles
from infc.sim.requests import Requests
from infc.sim.step import RequestsResult, Step, StepResult

_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SimulationReport:
    """One simulated setting with what it was given.

    `steps` is one for a single model. `capacity_rps` is what all instances can answer at the best batch size,
    `front_end_rps` what a server takes in; `limit_s` is the latency up to which an answer counts as good (None: any);
    `alternatives` are other queueing settings with a clearly lower p99 under the same arrivals, as (what to change, p99
    in seconds).
    """

    steps: tuple[Step, ...]
    arrival: str
    rate_rps: float
    seed: int
    requests: Requests
    capacity_rps: float
    front_end_rps: Interval
    limit_s: float | None
    result: RequestsResult
    alternatives: tuple[tuple[str, float], ...]

    @property
    def is_saturated(self) -> bool:
        """Whether requests arrive faster than they can be answered: then latency only says how long the run was."""
        return self.rate_rps >= self.capacity_rps

    @property
    def goodput_rps(self) -> float:
        """Answers per second within the limit."""
        return self.result.goodput_rps(math.inf if self.limit_s is None else self.limit_s)

    @property
    def rejected(self) -> int:
        """Requests that a queue policy refused."""
        return int(self.result.is_rejected.sum())


def render_simulation_json(report: SimulationReport) -> str:
    """The report as one JSON object, in milliseconds; fields of language models are null."""
    result, front = report.result, report.front_end_rps
    document = {
        "format_version": "1.0",
        "latency_ms": _summary_ms(result.served_latency_s),
        "queue_ms": _summary_ms(result.queue_s),
        "ttft_ms": None,
        "tpot_ms": None,
        "mean_batch_size": _batched(report).mean_batch_size,
        "batch_sizes": {str(size): count for size, count in _batched(report).batch_sizes.items()},
        "utilization": max(step.utilization for step in result.steps),
        "throughput_rps": result.throughput_rps,
        "goodput_rps": report.goodput_rps,
        "capacity_rps": report.capacity_rps,
        "is_saturated": report.is_saturated,
        "front_end_rps": {"value": front.value, "low": front.low, "high": front.high},
        "requests": len(result.latency_s),
        "rejected": report.rejected,
        "priorities": [
            {
                "priority": priority,
                "requests": int(mask.sum()),
                "rejected": int((mask & result.is_rejected).sum()),
                "latency_ms": _summary_ms(served)
                if len(served := result.latency_s[mask & ~result.is_rejected])
                else None,
            }
            for priority, mask in _levels(report).items()
        ],
        "steps": [
            {
                "name": step.name,
                "queue_ms": _summary_ms(step.queue_s[~np.isnan(step.queue_s)]),
                "mean_batch_size": step.mean_batch_size,
                "utilization": step.utilization,
            }
            for step in result.steps
            if step.executions
        ],
        "alternatives": [{"change": what, "p99_ms": p99_s * 1e3} for what, p99_s in report.alternatives],
    }
    return json.dumps(document, indent=2)


def render_simulation_text(report: SimulationReport) -> str:
    """The report for a reader: setting, latency, queue, batches, load, and notes on what would do better."""
    result = report.result
    is_ensemble = len(report.steps) > 1
    lines = [f"{step.name:<11} {step_text(step)}" for step in report.steps]
    if not is_ensemble:
        lines[0] = f"setting     {step_text(report.steps[0])}"
    lines += [
        f"traffic     {report.arrival} at {report.rate_rps:g}/s, {plural(len(result.latency_s), 'request')}"
        f"{_rows_text(report.requests)}, seed {report.seed}",
        f"latency     {_summary_text(_summary_ms(result.served_latency_s))}",
    ]
    for priority, mask in _levels(report).items():
        served = result.latency_s[mask & ~result.is_rejected]
        told = _summary_text(_summary_ms(served)) if len(served) else "none served"
        lost = int((mask & result.is_rejected).sum())
        lines.append(f"  priority {priority or 'none'}: {told}" + (f"   {lost} rejected" if lost else ""))
    lines.append(f"queue       {_summary_text(_summary_ms(result.queue_s))}")
    for step in result.steps if is_ensemble else ():
        waited = step.queue_s[~np.isnan(step.queue_s)]
        lines.append(
            f"  {step.name}: queue p50 {np.median(waited) * 1e3:.2f} ms, mean batch {step.mean_batch_size:.2f}, "
            f"{step.utilization:.1%} busy"
            if len(waited)
            else f"  {step.name}: nothing reached it"
        )
    batched = _batched(report)
    lines += [
        f"batch size  mean {batched.mean_batch_size:.2f}   {batches_text(batched.batch_sizes)}",
        f"instances   {batched.utilization:.1%} busy, {result.throughput_rps:.4g}/s answered of at most "
        f"{report.capacity_rps:.4g}/s",
    ]
    if report.rejected or report.limit_s is not None:
        limit = "" if report.limit_s is None else f" within {report.limit_s * 1e3:g} ms"
        share = report.rejected / len(result.latency_s)
        lines.append(
            f"goodput     {report.goodput_rps:.4g}/s answered{limit}, {report.rejected} rejected ({share_text(share)})"
        )
    return "\n".join([*lines, *_remarks(report)])


def _remarks(report: SimulationReport) -> list[str]:
    """Warnings and notes."""
    lines: list[str] = []
    front = report.front_end_rps
    if report.is_saturated:
        sequel = "the rest is rejected" if report.rejected else "latency grows with the length of the run"
        lines.append(f"warning: more requests arrive than can be answered; {sequel}")
    if report.rate_rps > front.value:
        lines.append(
            f"warning: the front end of one tritonserver takes about {front.value:,.0f} requests/s ({front.low:,.0f} "
            f"to {front.high:,.0f}), which is not simulated"
        )
    if report.rejected and any(_has_queue_limit(step) for step in report.steps):
        lines.append(
            "note: a full queue can make tritonserver 24.10 miss a wake-up and stall for up to 500 ms, which is not "
            "simulated; a timeout instead of a queue size does not"
        )
    lines += [f"note: p99 would be {p99_s * 1e3:.3g} ms with {what}" for what, p99_s in report.alternatives]
    return lines


def _has_queue_limit(step: Step) -> bool:
    return any(policy.max_queue_size for policy in (step.rules.policy, *step.rules.by_level.values()))


def _batched(report: SimulationReport) -> StepResult:
    """The step that batches stand for: the busiest."""
    return max(report.result.steps, key=lambda step: step.utilization)


def _levels(report: SimulationReport) -> Mapping[int, npt.NDArray[np.bool_]]:
    """Requests by priority, where they have any."""
    priorities = report.requests.priorities
    if priorities is None:
        return {}
    return {int(each): priorities == each for each in np.unique(priorities)}


def _rows_text(requests: Requests) -> str:
    return "" if requests.rows is None else f" of {requests.mean_rows:.3g} rows on average"


def _summary_ms(values_s: _Floats) -> Mapping[str, float]:
    tail = dict(zip(_PERCENTILES, percentiles(values_s, tuple(_PERCENTILES.values())), strict=True))
    return {name: value * 1e3 for name, value in {"mean": float(values_s.mean()), **tail}.items()}


def _summary_text(summary_ms: Mapping[str, float]) -> str:
    return "   ".join(f"{name} {value:.2f} ms" for name, value in summary_ms.items())
