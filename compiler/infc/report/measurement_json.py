"""A measurement as JSON: milliseconds, and null for a bound that the samples do not give."""

import json
import math
from collections.abc import Mapping
from typing import Any

from infc.ir.distribution import Curve
from infc.ir.interval import Interval
from infc.ir.measurement import Measurement, SloVerdict

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
