"""A simulation of a language-model server as text and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.perf.llm.step_fit import StepTimeFit
from infc.sim.continuous_batching import TokenResult
from infc.sim.percentile import percentiles

_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}
_POOR_FIT = 0.1
_ENOUGH_POINTS = 8
_LATE = 0.05
_BUSY = 0.9
_NO_GAPS = "none: every output is one token"


@dataclass(frozen=True, kw_only=True)
class TokenReport:
    """One simulated setting with what it was given.

    `kv_cache_tokens` is None for a cache that never runs out, `rate_rps` None for a closed loop. `steps` hold the
    overheads, which those of `fit` do not.
    """

    steps: StepTimeModel
    batching: ContinuousBatching
    kv_cache_tokens: int | None
    traffic: str
    rate_rps: float | None
    prompt_tokens: npt.NDArray[np.int64]
    ttft_slo_s: float | None
    tpot_slo_s: float | None
    fit: StepTimeFit
    result: TokenResult

    @property
    def is_saturated(self) -> bool:
        """Whether requests arrive faster than they are answered: then latency only says how long the run was.

        Its sign is that the server never rests, and that the last answers come long after the last arrivals, by the
        standard of what one answer takes.
        """
        result = self.result
        if self.rate_rps is None or result.utilization < _BUSY:
            return False
        arriving_s = len(result.e2e_s) / self.rate_rps
        late_s = result.end_s - arriving_s
        return late_s > _LATE * arriving_s and late_s > 3.0 * float(np.quantile(result.e2e_s - result.queue_s, 0.9))

    @property
    def goodput_rps(self) -> float | None:
        """Answered requests per second within the SLOs; None where no SLO was given."""
        if self.ttft_slo_s is None and self.tpot_slo_s is None:
            return None
        return self.result.goodput_rps(ttft_s=self.ttft_slo_s, tpot_s=self.tpot_slo_s)


def render_tokens_json(report: TokenReport) -> str:
    """The report as one JSON object, in milliseconds."""
    result = report.result
    has_gaps = bool(len(result.known_tpot_s))
    document = {
        "format_version": "1.0",
        "latency_ms": _summary_ms(result.e2e_s),
        "queue_ms": _summary_ms(result.queue_s),
        "ttft_ms": _summary_ms(result.ttft_s),
        "tpot_ms": _summary_ms(result.known_tpot_s) if has_gaps else None,
        "itl_ms": _gaps_ms(result) if has_gaps else None,
        "mean_batch_size": result.running_sequences,
        "utilization": result.utilization,
        "throughput_rps": result.throughput_rps,
        "output_tokens_per_s": result.output_tokens_per_s,
        "goodput_rps": report.goodput_rps,
        "kv_cache": {
            "mean_utilization": result.kv_cache_utilization if report.kv_cache_tokens else None,
            "peak_utilization": result.kv_cache_peak if report.kv_cache_tokens else None,
            "preemptions": result.preemptions,
            "prefix_hit_share": _hit_share(report),
        },
        "is_saturated": report.is_saturated,
        "requests": len(result.e2e_s),
        "step_fit": {
            "median_error": report.fit.median_error,
            "p90_error": report.fit.p90_error,
            "notes": list(report.fit.notes),
        },
    }
    return json.dumps(document, indent=2)


def render_tokens_text(report: TokenReport) -> str:
    """The report for a reader: setting, latencies, load, cache, and what to beware of."""
    result, batching = report.result, report.batching
    has_gaps = bool(len(result.known_tpot_s))
    lines = [
        f"setting     {_batching_text(batching)}",
        f"traffic     {report.traffic}, {len(result.e2e_s)} requests, prompts of {report.prompt_tokens.mean():.0f} and "
        f"outputs of {result.output_tokens.mean():.0f} tokens on average",
        f"ttft        {_summary_text(_summary_ms(result.ttft_s))}",
        f"tpot        {_summary_text(_summary_ms(result.known_tpot_s)) if has_gaps else _NO_GAPS}",
        f"itl         {_summary_text(_gaps_ms(result)) if has_gaps else _NO_GAPS}",
        f"latency     {_summary_text(_summary_ms(result.e2e_s))}",
        f"queue       {_summary_text(_summary_ms(result.queue_s))}",
        f"load        {result.utilization:.1%} busy, {result.running_sequences:.1f} sequences in a step, "
        f"{result.throughput_rps:.4g}/s answered, {result.output_tokens_per_s:.4g} tokens/s",
        f"kv cache    {_cache_text(report)}",
        f"step times  {report.fit.median_error:.1%} median error of the fit, each point left out; "
        f"{report.steps.fixed_s * 1e3:.3g} ms a step and {report.steps.request_s * 1e3:.3g} ms a request at least",
    ]
    if (goodput_rps := report.goodput_rps) is not None:
        share = goodput_rps / result.throughput_rps
        lines.insert(8, f"goodput     {goodput_rps:.4g}/s within the SLOs, {share:.2%} of the requests")
    if report.is_saturated:
        lines.append("warning: more requests arrive than can be answered; latency grows with the length of the run")
    if report.fit.p90_error > _POOR_FIT and report.fit.points >= _ENOUGH_POINTS:
        lines.append(f"warning: one step in ten is off by more than {report.fit.p90_error:.0%}; measure more steps")
    lines += [f"note: {note}" for note in report.fit.notes]
    return "\n".join(lines)


def _hit_share(report: TokenReport) -> float:
    return report.result.cached_tokens / float(report.prompt_tokens.sum())


def _cache_text(report: TokenReport) -> str:
    result = report.result
    parts = []
    if report.kv_cache_tokens:
        parts.append(f"{report.kv_cache_tokens} tokens, {result.kv_cache_utilization:.1%} in use on average")
        parts.append(f"{result.kv_cache_peak:.1%} at most, {result.preemptions} preemptions")
    else:
        parts.append("no limit given (--kv-cache-tokens)")
    if result.cached_tokens:
        parts.append(f"{_hit_share(report):.1%} of the prompt tokens cached")
    return ", ".join(parts)


def _summary_ms(values_s: npt.NDArray[np.float64]) -> Mapping[str, float]:
    return _milliseconds(float(values_s.mean()), percentiles(values_s, tuple(_PERCENTILES.values())))


def _gaps_ms(result: TokenResult) -> Mapping[str, float]:
    return _milliseconds(result.gaps.mean_s, result.gaps.percentiles_s(tuple(_PERCENTILES.values())))


def _milliseconds(mean_s: float, tail_s: Sequence[float]) -> Mapping[str, float]:
    return {"mean": mean_s * 1e3, **{name: value * 1e3 for name, value in zip(_PERCENTILES, tail_s, strict=True)}}


def _summary_text(summary_ms: Mapping[str, float]) -> str:
    return "   ".join(f"{name} {value:.2f} ms" for name, value in summary_ms.items())


def _batching_text(batching: ContinuousBatching) -> str:
    parts = [f"{batching.max_num_seqs} sequences and {batching.max_num_batched_tokens} tokens in a step at most"]
    if batching.long_prefill_tokens:
        parts.append(f"{batching.long_prefill_tokens} of one prompt")
    if not batching.has_chunked_prefill:
        parts.append("no chunked prefill")
    if not batching.has_prefix_caching:
        parts.append("no prefix cache")
    return ", ".join(parts)
