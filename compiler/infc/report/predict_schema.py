"""The JSON Schema of `infc predict --format json`."""

from typing import Any

from infc.ir.interval import Basis
from infc.report.plan_schema import interval_schema, nullable


def predict_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one prediction; intervals hold 90%."""
    properties: dict[str, Any] = {
        "latency_ms": {**interval_schema(), "description": "One execution, or one whole request."},
        "ttft_ms": {**nullable(interval_schema()), "description": "Mean time to first token; language models only."},
        "tpot_ms": {**nullable(interval_schema()), "description": "Mean time per token after the first."},
        "throughput_per_s": {**interval_schema(), "description": "Items, or output tokens, per second."},
        "memory_gib": {**interval_schema(), "description": "Of one device."},
        "power_w": nullable(interval_schema()),
        "basis": {"enum": [basis.value for basis in Basis]},
        "confidence": {"type": "number"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc predict",
        "description": "What `infc predict --format json` prints: one model on one device or a group of equal devices.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
