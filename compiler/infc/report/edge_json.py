"""A release on a device as JSON, and its schema (`schemas/edge-validation.schema.json`). Times are in milliseconds."""

import json
import math
from collections.abc import Mapping
from typing import Any, get_args

from infc.ir.edge_acceptance import EdgeAcceptance, EdgeVerdictWord, MeanAndMost
from infc.ir.edge_validation import EdgeOutcome, EdgeValidation
from infc.ir.interval import Interval
from infc.ir.json_schema import object_schema
from infc.report.json_values import Json, interval_json, number, optional

FORMAT_VERSION = "1.0"
_VERDICTS: tuple[str, ...] = get_args(EdgeVerdictWord)


def edge_validation_json(validation: EdgeValidation) -> str:
    """The validation as JSON text."""
    predicted = validation.target.predicted
    document: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "name": validation.release.name,
        "version": validation.release.version,
        "content_digest": validation.release.content_digest,
        "target": validation.target.hardware_id,
        "device": validation.device,
        "bundle": validation.bundle.name,
        "outcome": validation.outcome.value,
        "device_code": validation.code,
        "device_words": list(validation.words),
        "verdict": None if validation.verdict is None else validation.verdict.value,
        "was_in_service": validation.was_in_service,
        "predicted_latency_ms": _latencies(predicted.latency_s),
        "predicted_power_w": None if predicted.power_w is None else interval_json(predicted.power_w),
        "measured": None if validation.acceptance is None else _measured(validation.acceptance),
        "service_time_ms": _service_times(validation),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _measured(acceptance: EdgeAcceptance) -> Json:
    device, engine, outputs = acceptance.device, acceptance.engine, acceptance.outputs
    return {
        "verdict": acceptance.verdict,
        "device": {
            "machine": device.machine,
            "module": device.module,
            "soc": device.soc,
            "model": device.model,
            "l4t": device.l4t,
            "tensorrt": device.tensorrt,
            "memory_bytes": device.memory_bytes,
        },
        "power_mode": acceptance.power_mode,
        "verdicts": [
            {
                "metric": each.metric,
                "limit": number(each.limit),
                "value": optional(each.value),
                "low": optional(each.low),
                "high": optional(each.high),
                "verdict": each.verdict,
            }
            for each in acceptance.verdicts
        ],
        "latency_ms": _latencies(acceptance.latency_s),
        "engine_latency_ms": None if acceptance.engine_latency_s is None else _latencies(acceptance.engine_latency_s),
        "load": {
            "what": acceptance.load.what,
            "rate_rps": number(acceptance.load.rate_rps),
            "requests": acceptance.load.requests,
            "failed": acceptance.load.failed,
            "seconds": number(acceptance.load.seconds),
        },
        "engine": None
        if engine is None
        else {
            "key": engine.key,
            "digest": engine.digest,
            "size_bytes": engine.size_bytes,
            "is_reused": engine.is_reused,
            "seconds": number(engine.seconds),
        },
        "outputs": None
        if outputs is None
        else {
            "samples": outputs.samples,
            "verdict": outputs.verdict,
            "worst": {
                name: {
                    "max_absolute": number(error.max_absolute),
                    "mean_absolute": number(error.mean_absolute),
                    "argmax_agreement": optional(error.argmax_agreement),
                }
                for name, error in outputs.worst.items()
            },
        },
        "power_w": _sensor(acceptance.power_w),
        "temperature_c": _sensor(acceptance.temperature_c),
        "is_throttled": acceptance.is_throttled,
    }


def _sensor(sensor: MeanAndMost | None) -> Json:
    return None if sensor is None else {"mean": number(sensor.mean), "max": number(sensor.max)}


def _latencies(latencies: Mapping[str, Interval]) -> dict[str, Json]:
    return {label: _interval_ms(each) for label, each in latencies.items()}


def _interval_ms(interval: Interval) -> dict[str, Json]:
    high = None if math.isinf(interval.high) else number(interval.high * 1e3)
    return {"value": number(interval.value * 1e3), "low": number(interval.low * 1e3), "high": high}


def _service_times(validation: EdgeValidation) -> Json:
    if validation.service_time is None:
        return None
    return [
        {
            "batch_size": point.batch_size,
            "axes": dict(point.axes),
            "executions": point.executions,
            **_interval_ms(point.seconds),
        }
        for point in validation.service_time.points
    ]


def edge_validation_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a release on a device."""
    latencies = {"type": "object", "additionalProperties": _interval()}
    bounds = {"value": _NUMBER, "low": _NUMBER, "high": _NUMBER}
    axes = {"type": "object", "additionalProperties": _COUNT}
    point = {"batch_size": _COUNT, "axes": axes, "executions": _COUNT, **_BOUNDS}
    return {
        "description": "What `infc validate BUNDLE ssh://DEVICE --format json` prints.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "name": _TEXT,
                "version": _TEXT,
                "content_digest": _TEXT,
                "target": _TEXT,
                "device": _TEXT,
                "bundle": _TEXT,
                "outcome": {"enum": [outcome.value for outcome in EdgeOutcome]},
                "device_code": {**_COUNT, "description": "Exit code of the device's agent: docs/edge-format.md."},
                "device_words": {"type": "array", "items": _TEXT},
                "verdict": {"enum": [*_VERDICTS, None], "description": "null: the release was not judged."},
                "was_in_service": {
                    "type": "boolean",
                    "description": "Nothing had to be done; figures are earlier ones.",
                },
                "predicted_latency_ms": latencies,
                "predicted_power_w": {"anyOf": [object_schema(bounds), {"type": "null"}]},
                "measured": {"anyOf": [_measured_schema(latencies), {"type": "null"}]},
                "service_time_ms": {
                    "anyOf": [{"type": "array", "items": object_schema(point)}, {"type": "null"}],
                    "description": "What later plans of this model on this module know.",
                },
            }
        ),
    }


_TEXT = {"type": "string"}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}
_OPTIONAL = {"type": ["number", "null"]}
_BOUNDS = {"value": _NUMBER, "low": _NUMBER, "high": _OPTIONAL}


def _measured_schema(latencies: dict[str, Any]) -> dict[str, Any]:
    verdict = {"enum": list(_VERDICTS)}
    sensor = {"anyOf": [object_schema({"mean": _NUMBER, "max": _NUMBER}), {"type": "null"}]}
    device = dict.fromkeys(("module", "soc", "model", "l4t", "tensorrt"), _OPTIONAL_TEXT)
    judged = {"metric": _TEXT, "limit": _NUMBER, "value": _OPTIONAL, "low": _OPTIONAL, "high": _OPTIONAL}
    engine = {"key": _TEXT, "digest": _TEXT, "size_bytes": _COUNT, "is_reused": {"type": "boolean"}, "seconds": _NUMBER}
    error = {"max_absolute": _NUMBER, "mean_absolute": _NUMBER, "argmax_agreement": _OPTIONAL}
    worst = {"type": "object", "additionalProperties": object_schema(error)}
    outputs = {"samples": _COUNT, "verdict": verdict, "worst": worst}
    load = {"what": {"enum": ["service", "engine"]}, "rate_rps": _NUMBER, "requests": _COUNT, "failed": _COUNT}
    return object_schema(
        {
            "verdict": verdict,
            "device": object_schema({"machine": _TEXT, **device, "memory_bytes": {"type": ["integer", "null"]}}),
            "power_mode": _OPTIONAL_TEXT,
            "verdicts": {"type": "array", "items": object_schema({**judged, "verdict": verdict})},
            "latency_ms": latencies,
            "engine_latency_ms": {"anyOf": [latencies, {"type": "null"}]},
            "load": object_schema({**load, "seconds": _NUMBER}),
            "engine": {"anyOf": [object_schema(engine), {"type": "null"}]},
            "outputs": {"anyOf": [object_schema(outputs), {"type": "null"}]},
            "power_w": sensor,
            "temperature_c": sensor,
            "is_throttled": {"type": ["boolean", "null"]},
        }
    )


def _interval() -> dict[str, Any]:
    return object_schema(_BOUNDS)
