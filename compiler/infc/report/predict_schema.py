"""The JSON Schema of `infc predict --format json`."""

from typing import Any

from infc.ir.interval import Basis
from infc.report.plan_schema import interval_schema, nullable


def predict_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one prediction; intervals hold 90%."""
    properties: dict[str, Any] = {
        "latency_ms": interval_schema(),
        "ttft_ms": {"type": "null"},
        "tpot_ms": {"type": "null"},
        "throughput_per_s": {**interval_schema(), "description": "Items per second."},
        "memory_gib": interval_schema(),
        "power_w": nullable(interval_schema()),
        "basis": {"enum": [basis.value for basis in Basis]},
        "confidence": {"type": "number"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc predict",
        "description": "What `infc predict --format json` prints: one model on one device.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
