"""The JSON Schema of `infc validate --format json`."""

from typing import Any

from infc.ir.accuracy import Verdict
from infc.ir.json_schema import object_schema

_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}


def measurement_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a measurement."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc measurement",
        "description": "What `infc validate --format json` prints: a load test's percentiles, layers and verdict.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "name": _TEXT,
                "target": _TEXT,
                "is_rehearsal": {
                    "type": "boolean",
                    "description": "Scheduling only: the plan's service times were slept, no accelerator ran.",
                },
                "verdict": _verdict(),
                "stopped_by": {"enum": ["settled", "budget", "saturated"]},
                "slo": {"type": "array", "items": _slo_item()},
                "latency_ms": _map(_interval()),
                "predicted_latency_ms": _map(_interval()),
                "interval_confidence": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "distribution_ms": curve_schema(),
                "layers_ms": object_schema(
                    dict.fromkeys(("transport", "queue", "compute_input", "compute", "compute_output"), _NUMBER)
                ),
                "load": object_schema(
                    {
                        "offered_rps": _NUMBER,
                        "completed_rps": _NUMBER,
                        "requests": _COUNT,
                        "errors": _COUNT,
                        "warmup_s": _NUMBER,
                        "duration_s": _NUMBER,
                        "send_lag_p99_ms": _NUMBER,
                    }
                ),
                "mean_batch_size": _NUMBER,
                "batch_sizes": _map(_COUNT) | {"description": "Batch size -> executions."},
                "service_time_ms": {"anyOf": [{"type": "array", "items": _service_time()}, {"type": "null"}]},
                "environment": _map(_TEXT),
                "notes": {"type": "array", "items": _TEXT},
            }
        ),
    }


def curve_schema() -> dict[str, Any]:
    """A distribution as pairs of percent and milliseconds."""
    return {
        "type": "array",
        "items": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
        "description": "Pairs: so many percent of the requests took at most so many milliseconds.",
    }


def _slo_item() -> dict[str, Any]:
    return object_schema(
        {
            "percentile": {"type": "string", "pattern": r"^p\d+(\.\d+)?$"},
            "limit_ms": _NUMBER,
            "predicted_ms": {"anyOf": [_interval(), {"type": "null"}]},
            "measured_ms": _interval(),
            "verdict": _verdict(),
            "confidence": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "samples": _COUNT,
            "overs": _COUNT,
            "effective_samples": _NUMBER,
            "samples_needed": {
                "anyOf": [_COUNT, {"type": "null"}],
                "description": "Samples in all that would settle an inconclusive verdict.",
            },
        }
    )


def _service_time() -> dict[str, Any]:
    bounds = _interval()["properties"]
    return object_schema({"batch_size": _COUNT, "axes": _map(_COUNT), "executions": _COUNT, **bounds})


def _interval() -> dict[str, Any]:
    unbounded = {"anyOf": [_NUMBER, {"type": "null"}], "description": "null: the samples do not bound this side."}
    return object_schema({"value": _NUMBER, "low": _NUMBER, "high": unbounded})


def _verdict() -> dict[str, Any]:
    return {"enum": [verdict.value for verdict in Verdict]}


def _map(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}
