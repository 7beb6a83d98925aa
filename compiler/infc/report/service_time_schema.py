"""The JSON Schema of `infc calibrate --format json`."""

from typing import Any

from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision

_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_NOT_NEGATIVE = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string"}


def calibration_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the service times that a calibration measured."""
    point = object_schema(
        {
            "batch_size": _COUNT,
            "axes": {"type": "object", "additionalProperties": _COUNT, "description": "Sizes of the dynamic axes."},
            "ms": {
                **object_schema({"value": _POSITIVE, "low": _NOT_NEGATIVE, "high": {"type": ["number", "null"]}}),
                "description": "Median with distribution-free 90% bounds; high is null where executions are too few.",
            },
            "executions": _COUNT,
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
