"""A measured language-model server as JSON: milliseconds, and null for a bound that the samples do not give."""

import json
import math
from collections.abc import Mapping
from typing import Any, get_args

from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement, ServerView, TokenMetric
from infc.ir.measurement import SloVerdict
from infc.ir.step_time import StepTimeProfile
from infc.report.measurement_json import curve_json

FORMAT_VERSION = "1.0"
KIND = "language-model"


def render_llm_measurement_json(measurement: LlmMeasurement) -> str:
    """The measurement as one JSON object."""
    return json.dumps(llm_measurement_document(measurement), indent=2, ensure_ascii=False)


def llm_measurement_document(measurement: LlmMeasurement) -> dict[str, Any]:
    """The measurement as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "name": measurement.name,
        "target": measurement.target,
        "tool": measurement.tool,
        "is_rehearsal": measurement.is_rehearsal,
        "verdict": measurement.verdict.value,
        "stopped_by": measurement.stopped_by,
        "slo": [_verdict(each) for each in measurement.verdicts],
        **{f"{metric}_ms": _intervals_ms(measurement.percentiles_s.get(metric, {})) for metric in _METRICS},
        "predicted": {f"{metric}_ms": _intervals_ms(measurement.predicted_s.get(metric, {})) for metric in _METRICS},
        "interval_confidence": measurement.interval_confidence,
        "distribution_ms": {metric: curve_json(curve) for metric, curve in measurement.curves_s.items()},
        "goodput_rps": measurement.goodput_rps,
        "output_tokens_per_s": measurement.output_tokens_per_s,
        "mean_prompt_tokens": measurement.mean_prompt_tokens,
        "mean_output_tokens": measurement.mean_output_tokens,
        "load": {
            "offered_rps": measurement.offered_rps,
            "completed_rps": measurement.completed_rps,
            "requests": measurement.requests,
            "errors": measurement.errors,
            "warmup_s": measurement.warmup_s,
            "duration_s": measurement.duration_s,
            "send_lag_p99_ms": measurement.send_lag_p99_s * 1e3,
        },
        "server": None if measurement.server is None else _server(measurement.server),
        "step_times": None if measurement.step_times is None else _steps(measurement.step_times),
        "environment": dict(measurement.environment),
        "notes": list(measurement.notes),
    }


_METRICS: tuple[TokenMetric, ...] = get_args(TokenMetric)


def _verdict(each: SloVerdict) -> dict[str, Any]:
    metric, _, percentile = each.label.partition(" ")
    return {
        "metric": metric,
        "percentile": percentile,
        "limit_ms": each.limit_s * 1e3,
        "predicted_ms": None if each.predicted_s is None else _interval_ms(each.predicted_s),
        "measured_ms": _interval_ms(each.measured_s),
        "verdict": each.verdict.value,
        "confidence": each.confidence,
        "samples": each.samples,
        "overs": each.overs,
        "effective_samples": each.effective_samples,
        "samples_needed": each.samples_needed,
    }


def _server(view: ServerView) -> dict[str, Any]:
    return {
        "mean_ms": {metric: seconds * 1e3 for metric, seconds in view.mean_s.items()},
        "client_mean_ms": {metric: seconds * 1e3 for metric, seconds in view.client_mean_s.items()},
        "requests": view.requests,
        "preemptions": view.preemptions,
        "kv_cache_usage": view.kv_cache_usage,
    }


def _steps(profile: StepTimeProfile) -> list[dict[str, Any]]:
    return [
        {
            "prefill_tokens": point.prefill_tokens,
            "prefill_seqs": point.prefill_seqs,
            "decode_seqs": point.decode_seqs,
            "context_tokens": point.context_tokens,
            "ms": point.seconds * 1e3,
            "samples": point.samples,
        }
        for point in profile.points
    ]


def _intervals_ms(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {label: _interval_ms(interval) for label, interval in intervals.items()}


def _interval_ms(interval: Interval) -> dict[str, float | None]:
    """A bound of zero is one that the samples do not give below, an infinite one is null."""
    high = None if math.isinf(interval.high) else interval.high * 1e3
    return {"value": interval.value * 1e3, "low": interval.low * 1e3, "high": high}
