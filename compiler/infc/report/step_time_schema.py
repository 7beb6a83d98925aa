"""The JSON Schema of `infc calibrate --format json` for a language model."""

from typing import Any

from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision

_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_NOT_NEGATIVE = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_PRECISION = {"enum": [precision.value for precision in Precision]}


def step_calibration_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the step times that a calibration measured."""
    interval = object_schema({"value": _POSITIVE, "low": _POSITIVE, "high": _POSITIVE})
    fit = object_schema(
        {
            "median_error": {**_NOT_NEGATIVE, "description": "Absolute relative error, each step left out in turn."},
            "p90_error": _NOT_NEGATIVE,
            "points": _COUNT,
            "decode_spread": {"type": "number", "minimum": 1, "description": "Nine of ten lie within this factor."},
            "prefill_spread": {"type": "number", "minimum": 1},
            "notes": {"type": "array", "items": _TEXT},
        }
    )
    step = object_schema(
        {
            "prefill_seqs": _COUNT,
            "prefill_tokens": {**_COUNT, "description": "Of all prompts in the step."},
            "decode_seqs": _COUNT,
            "context_tokens": {**_COUNT, "description": "In the caches of the step's sequences before it, summed."},
            "samples": {"type": "integer", "minimum": 1},
            "ms": {**_POSITIVE, "description": "As clients see it: the logged time and the server's part around it."},
            "logged_ms": _POSITIVE,
            "fitted_ms": _POSITIVE,
            "predicted_ms": {**_or_null(interval), "description": "What a plan would have used before."},
            "prediction_error": {"type": ["number", "null"], "description": "Predicted over measured, minus one."},
            "is_inside_prediction": {"type": ["boolean", "null"]},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc calibration of a language model",
        "description": "What `infc calibrate --format json` prints of a language model: its server's steps.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "kind": {"const": "language-model"},
                "profile": {**_TEXT, "description": "Name of the file in infc-profiles/."},
                "model_digest": _TEXT,
                "precision": _PRECISION,
                "kv_precision": _or_null(_PRECISION),
                "hardware": _TEXT,
                "tensor_parallel": {"type": "integer", "minimum": 1},
                "environment": {"type": "object", "additionalProperties": _TEXT},
                "step_overhead_ms": _or_null(_NOT_NEGATIVE),
                "sequence_overhead_ms": _or_null(_NOT_NEGATIVE),
                "request_overhead_ms": _or_null(_NOT_NEGATIVE),
                "pace_spread": _or_null({"type": "number", "minimum": 1}),
                "fit": fit,
                "steps": {"type": "array", "items": step},
                "not_predicted": {"type": ["string", "null"]},
            }
        ),
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
