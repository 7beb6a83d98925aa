"""A simulation as text and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infc.ir.candidate import DynamicBatching
from infc.sim.dynamic_batching import BatchingResult
from infc.sim.percentile import percentiles

_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}


@dataclass(frozen=True, kw_only=True)
class SimulationReport:
    """One simulated setting with what it was given.

    `capacity_rps` is what all instances can answer at the best batch size; `alternatives` are other queueing settings
    with a clearly lower p99 under the same arrivals, as (what to change, p99 in seconds).
    """

    batching: DynamicBatching
    instances: int
    arrival: str
    rate_rps: float
    seed: int
    capacity_rps: float
    result: BatchingResult
    alternatives: tuple[tuple[str, float], ...]

    @property
    def is_saturated(self) -> bool:
        """Whether requests arrive faster than they can be answered: then latency only says how long the run was."""
        return self.rate_rps >= self.capacity_rps


def render_simulation_json(report: SimulationReport) -> str:
    """The report as one JSON object, in milliseconds; fields of language models are null."""
    result = report.result
    document = {
        "format_version": "1.0",
        "latency_ms": _summary_ms(result.latency_s),
        "queue_ms": _summary_ms(result.queue_s),
        "ttft_ms": None,
        "tpot_ms": None,
        "mean_batch_size": result.mean_batch_size,
        "batch_sizes": {str(size): count for size, count in result.batch_sizes.items()},
        "utilization": result.utilization,
        "throughput_rps": result.throughput_rps,
        "capacity_rps": report.capacity_rps,
        "is_saturated": report.is_saturated,
        "requests": len(result.latency_s),
        "alternatives": [{"change": what, "p99_ms": p99_s * 1e3} for what, p99_s in report.alternatives],
    }
    return json.dumps(document, indent=2)


def render_simulation_text(report: SimulationReport) -> str:
    """The report for a reader: setting, latency, queue, batches, load, and notes on what would do better."""
    result = report.result
    lines = [
        f"setting     {_batching_text(report.batching)}, {_plural(report.instances, 'instance')}",
        f"traffic     {report.arrival} at {report.rate_rps:g}/s, {_plural(len(result.latency_s), 'request')}, "
        f"seed {report.seed}",
        f"latency     {_summary_text(_summary_ms(result.latency_s))}",
        f"queue       {_summary_text(_summary_ms(result.queue_s))}",
        f"batch size  mean {result.mean_batch_size:.2f}   {_batches_text(result.batch_sizes)}",
        f"instances   {result.utilization:.1%} busy, {result.throughput_rps:.4g}/s answered of at most "
        f"{report.capacity_rps:.4g}/s",
    ]
    if report.is_saturated:
        lines.append("warning: more requests arrive than can be answered; latency grows with the length of the run")
    lines += [f"note: p99 would be {p99_s * 1e3:.3g} ms with {what}" for what, p99_s in report.alternatives]
    return "\n".join(lines)


def _summary_ms(values_s: npt.NDArray[np.float64]) -> Mapping[str, float]:
    tail = dict(zip(_PERCENTILES, percentiles(values_s, tuple(_PERCENTILES.values())), strict=True))
    return {name: value * 1e3 for name, value in {"mean": float(values_s.mean()), **tail}.items()}


def _summary_text(summary_ms: Mapping[str, float]) -> str:
    return "   ".join(f"{name} {value:.2f} ms" for name, value in summary_ms.items())


def _batches_text(batch_sizes: Mapping[int, int]) -> str:
    total = sum(batch_sizes.values())
    shown = sorted(batch_sizes, key=lambda size: -batch_sizes[size])[:8]
    return "  ".join(f"{size}: {batch_sizes[size] / total:.1%}" for size in sorted(shown))


def _batching_text(batching: DynamicBatching) -> str:
    if batching.max_batch_size == 1:
        return "no batching"
    parts = [f"max batch size {batching.max_batch_size}", f"queue delay {batching.max_queue_delay_s * 1e6:g} us"]
    if batching.preferred_batch_sizes:
        parts.append(f"preferred {', '.join(map(str, batching.preferred_batch_sizes))}")
    if not batching.has_prefetch:
        parts.append("prefetch off")
    return ", ".join(parts)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
