"""The JSON Schema of `infc calibrate --format json`."""

from typing import Any, get_args

from infc.ir.device_usage import UsageSource
from infc.ir.interval import Basis
from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision

_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_NOT_NEGATIVE = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string"}
_NUMBER_OR_NULL = {"type": ["number", "null"]}


def calibration_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the service times that a calibration measured."""
    ms = object_schema({"value": _POSITIVE, "low": _NOT_NEGATIVE, "high": {"type": ["number", "null"]}})
    point = object_schema(
        {
            "batch_size": _COUNT,
            "axes": {"type": "object", "additionalProperties": _COUNT, "description": "Sizes of the dynamic axes."},
            "ms": {
                **ms,
                "description": "Median with distribution-free 90% bounds; high is null where executions are too few.",
            },
            "executions": _COUNT,
            "device_ms": {
                **_or_null(ms),
                "description": "The execution alone, by the device's own clock; null where it has none.",
            },
            "power_w": {**_NUMBER_OR_NULL, "description": "Mean draw of the device at this batch size."},
            "predicted_ms": {
                **_or_null(ms),
                "description": "What a plan would have used before, with its 90% interval.",
            },
            "prediction_error": {**_NUMBER_OR_NULL, "description": "Predicted over measured, minus one."},
            "is_inside_prediction": {"type": ["boolean", "null"]},
        }
    )
    profile = object_schema(
        {
            "model_digest": _TEXT,
            "precision": {"enum": [precision.value for precision in Precision]},
            "hardware": _TEXT,
            "engine": _TEXT,
            "instances": {**_COUNT, "description": "Instances that ran at the same time."},
            "environment": {"type": "object", "additionalProperties": _TEXT},
            "points": {"type": "array", "items": point},
            "predicted_basis": {"enum": [*(basis.value for basis in Basis), None]},
            "usage": {**_or_null(_usage()), "description": "What the device did meanwhile; null: not sampled."},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc calibration",
        "description": "What `infc calibrate --format json` prints: service times measured on this machine.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "profiles": {"type": "array", "items": profile},
            }
        ),
    }


def _usage() -> dict[str, Any]:
    numbers = (
        *("utilization", "memory_utilization", "power_w", "power_max_w", "energy_j", "memory_gib"),
        *("clock_mhz", "memory_clock_mhz", "temperature_max_c"),
    )
    return object_schema(
        {
            "source": {"enum": list(get_args(UsageSource))},
            "samples": {"type": "integer", "minimum": 0},
            "seconds": _NOT_NEGATIVE,
            **dict.fromkeys(numbers, _NUMBER_OR_NULL),
            "slowdowns": {"type": "object", "additionalProperties": _NOT_NEGATIVE},
            "missing": {"type": "array", "items": _TEXT},
        }
    )


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
