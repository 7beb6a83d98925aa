"""A measurement as JSON: milliseconds, and null for a bound that the samples do not give."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from infc.ir.accuracy import Verdict
from infc.ir.distribution import Curve
from infc.ir.interval import Interval
from infc.ir.measurement import LatencyLayers, Measurement, SloVerdict

FORMAT_VERSION = "1.0"


def render_measurement_json(measurement: Measurement) -> str:
    """The measurement as one JSON object."""
    return json.dumps(measurement_document(measurement), indent=2, ensure_ascii=False)


def measurement_document(measurement: Measurement) -> dict[str, Any]:
    """The measurement as JSON values."""
    layers = measurement.layers
    return {
        "format_version": FORMAT_VERSION,
        "name": measurement.name,
        "target": measurement.target,
        "is_rehearsal": measurement.is_rehearsal,
        "verdict": measurement.verdict.value,
        "stopped_by": measurement.stopped_by,
        "slo": [_verdict(each) for each in measurement.verdicts],
        "latency_ms": _intervals_ms(measurement.e2e_s),
        "predicted_latency_ms": _intervals_ms(measurement.predicted_s),
        "interval_confidence": measurement.interval_confidence,
        "distribution_ms": curve_json(measurement.curve_s),
        "layers_ms": {
            "transport": layers.transport_s * 1e3,
            "queue": layers.queue_s * 1e3,
            "compute_input": layers.compute_input_s * 1e3,
            "compute": layers.compute_s * 1e3,
            "compute_output": layers.compute_output_s * 1e3,
        },
        "load": {
            "offered_rps": measurement.offered_rps,
            "completed_rps": measurement.completed_rps,
            "requests": measurement.requests,
            "errors": measurement.errors,
            "warmup_s": measurement.warmup_s,
            "duration_s": measurement.duration_s,
            "send_lag_p99_ms": measurement.send_lag_p99_s * 1e3,
        },
        "mean_batch_size": measurement.mean_batch_size,
        "batch_sizes": {str(size): count for size, count in sorted(measurement.batch_sizes.items())},
        "service_time_ms": _service_times_ms(measurement),
        "environment": dict(measurement.environment),
        "notes": list(measurement.notes),
    }


def measurement_from_document(document: Mapping[str, Any]) -> Measurement:
    """The measurement that was written, without its service times.

    Raises:
        KeyError, TypeError, ValueError: it is not what this version writes.
    """
    load, layers = document["load"], document["layers_ms"]
    return Measurement(
        name=str(document["name"]),
        target=str(document["target"]),
        offered_rps=float(load["offered_rps"]),
        completed_rps=float(load["completed_rps"]),
        requests=int(load["requests"]),
        errors=int(load["errors"]),
        duration_s=float(load["duration_s"]),
        e2e_s=intervals_from(document["latency_ms"]),
        layers=LatencyLayers(**{f"{name}_s": float(value) / 1e3 for name, value in layers.items()}),
        mean_batch_size=float(document["mean_batch_size"]),
        send_lag_p99_s=float(load["send_lag_p99_ms"]) / 1e3,
        verdicts=tuple(verdict_from(each, str(each["percentile"])) for each in document["slo"]),
        verdict=Verdict(document["verdict"]),
        stopped_by=str(document["stopped_by"]),
        is_rehearsal=bool(document["is_rehearsal"]),
        service_time=None,
        environment=dict(document["environment"]),
        batch_sizes={int(size): int(count) for size, count in document["batch_sizes"].items()},
        predicted_s=intervals_from(document["predicted_latency_ms"]),
        interval_confidence=float(document["interval_confidence"]),
        warmup_s=float(load["warmup_s"]),
        notes=tuple(document["notes"]),
        curve_s=curve_from(document["distribution_ms"]),
    )


def verdict_from(each: Mapping[str, Any], label: str) -> SloVerdict:
    """A percentile against its limit, as it was written."""
    predicted, needed = each["predicted_ms"], each["samples_needed"]
    return SloVerdict(
        label=label,
        limit_s=float(each["limit_ms"]) / 1e3,
        predicted_s=None if predicted is None else _interval_from(predicted),
        measured_s=_interval_from(each["measured_ms"]),
        confidence=float(each["confidence"]),
        verdict=Verdict(each["verdict"]),
        samples=int(each["samples"]),
        overs=int(each["overs"]),
        effective_samples=float(each["effective_samples"]),
        samples_needed=None if needed is None else int(needed),
    )


def intervals_from(document: Mapping[str, Any]) -> dict[str, Interval]:
    """Percentiles by label, as they were written."""
    return {str(label): _interval_from(each) for label, each in document.items()}


def curve_from(pairs: Sequence[Sequence[float]]) -> Curve:
    """A distribution, as it was written."""
    return tuple((float(percent), float(milliseconds) / 1e3) for percent, milliseconds in pairs)


def _interval_from(document: Mapping[str, Any]) -> Interval:
    value, low, high = (document[name] for name in ("value", "low", "high"))
    return Interval(
        value=float(value) / 1e3, low=float(low) / 1e3, high=math.inf if high is None else float(high) / 1e3
    )


def curve_json(curve: Curve) -> list[list[float]]:
    """Pairs of percent and milliseconds."""
    return [[percent, seconds * 1e3] for percent, seconds in curve]


def _verdict(each: SloVerdict) -> dict[str, Any]:
    return {
        "percentile": each.label,
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


def _service_times_ms(measurement: Measurement) -> list[dict[str, Any]] | None:
    if measurement.service_time is None:
        return None
    return [
        {"batch_size": p.batch_size, "axes": dict(p.axes), "executions": p.executions, **_interval_ms(p.seconds)}
        for p in measurement.service_time.points
    ]


def _intervals_ms(values: Mapping[str, Interval]) -> dict[str, Any]:
    return {label: _interval_ms(value) for label, value in values.items()}


def _interval_ms(interval: Interval) -> dict[str, float | None]:
    return {
        "value": interval.value * 1e3,
        "low": interval.low * 1e3,
        "high": None if math.isinf(interval.high) else interval.high * 1e3,
    }
