"""A measured language-model server as JSON: milliseconds, and null for a bound that the samples do not give."""

import json
import math
from collections.abc import Mapping
from typing import Any, get_args

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement, ServerView, TokenMetric
from infc.ir.measurement import SloVerdict
from infc.ir.step_time import StepTimeProfile
from infc.report.measurement_json import curve_from, curve_json, intervals_from, verdict_from

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


def llm_measurement_from_document(document: Mapping[str, Any]) -> LlmMeasurement:
    """The measurement that was written, without its step times.

    Raises:
        KeyError, TypeError, ValueError: it is not what this version writes.
    """
    load, server, curves = document["load"], document["server"], document["distribution_ms"]
    return LlmMeasurement(
        name=str(document["name"]),
        target=str(document["target"]),
        tool=document["tool"],
        offered_rps=float(load["offered_rps"]),
        completed_rps=float(load["completed_rps"]),
        goodput_rps=float(document["goodput_rps"]),
        output_tokens_per_s=float(document["output_tokens_per_s"]),
        requests=int(load["requests"]),
        errors=int(load["errors"]),
        duration_s=float(load["duration_s"]),
        percentiles_s=_metrics_from(document),
        predicted_s=_metrics_from(document["predicted"]),
        mean_prompt_tokens=float(document["mean_prompt_tokens"]),
        mean_output_tokens=float(document["mean_output_tokens"]),
        send_lag_p99_s=float(load["send_lag_p99_ms"]) / 1e3,
        verdicts=tuple(verdict_from(each, f"{each['metric']} {each['percentile']}") for each in document["slo"]),
        verdict=Verdict(document["verdict"]),
        stopped_by=str(document["stopped_by"]),
        environment=dict(document["environment"]),
        server=None if server is None else _server_from(server),
        interval_confidence=float(document["interval_confidence"]),
        warmup_s=float(load["warmup_s"]),
        is_rehearsal=bool(document["is_rehearsal"]),
        notes=tuple(document["notes"]),
        curves_s={metric: curve_from(curves[metric]) for metric in _METRICS if metric in curves},
    )


def _metrics_from(document: Mapping[str, Any]) -> dict[TokenMetric, dict[str, Interval]]:
    return {metric: found for metric in _METRICS if (found := intervals_from(document[f"{metric}_ms"]))}


def _server_from(document: Mapping[str, Any]) -> ServerView:
    usage = document["kv_cache_usage"]
    means = ({m: float(document[name][m]) / 1e3 for m in _METRICS if m in document[name]} for name in _MEANS)
    mean_s, client_mean_s = means
    return ServerView(
        mean_s=mean_s,
        client_mean_s=client_mean_s,
        requests=int(document["requests"]),
        preemptions=int(document["preemptions"]),
        kv_cache_usage=None if usage is None else float(usage),
    )


_MEANS = ("mean_ms", "client_mean_ms")


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
