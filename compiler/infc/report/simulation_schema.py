"""The JSON Schema of `infc simulate --format json`."""

from typing import Any

from infc.ir.json_schema import object_schema

_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 1}
_SUMMARY_KEYS = ("mean", "p50", "p90", "p95", "p99")


def simulation_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a simulation."""
    summary = object_schema(dict.fromkeys(_SUMMARY_KEYS, _NUMBER))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc simulation",
        "description": "What `infc simulate --format json` prints: a scheduler simulated under an arrival process.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "latency_ms": {**summary, "description": "From arrival to answer; percentiles by nearest rank."},
                "queue_ms": {**summary, "description": "From arrival to the start of the execution."},
                "ttft_ms": {"type": "null", "description": "Language models only."},
                "tpot_ms": {"type": "null", "description": "Language models only."},
                "mean_batch_size": {**_NUMBER, "description": "Rows per execution; of the busiest step."},
                "batch_sizes": {
                    "type": "object",
                    "description": "Executions by batch size.",
                    "propertyNames": {"pattern": "^[1-9][0-9]*$"},
                    "additionalProperties": _COUNT,
                },
                "utilization": {**_NUMBER, "maximum": 1, "description": "Busy share of the instances."},
                "throughput_rps": {**_NUMBER, "description": "Requests served per second."},
                "goodput_rps": {**_NUMBER, "description": "Those served within the latency limit, where one is set."},
                "capacity_rps": {**_NUMBER, "description": "What the instances can answer at the best batch size."},
                "is_saturated": {"type": "boolean", "description": "More requests arrive than can be answered."},
                "front_end_rps": {
                    **object_schema(dict.fromkeys(("value", "low", "high"), _NUMBER)),
                    "description": "Requests per second that one server's front end takes; not simulated.",
                },
                "requests": _COUNT,
                "rejected": {"type": "integer", "minimum": 0, "description": "Requests that a queue policy refused."},
                "priorities": {
                    "type": "array",
                    "description": "By priority, where requests have one; 0 asks for the model's default.",
                    "items": object_schema(
                        {
                            "priority": {"type": "integer", "minimum": 0},
                            "requests": _COUNT,
                            "rejected": {"type": "integer", "minimum": 0},
                            "latency_ms": {"anyOf": [summary, {"type": "null"}]},
                        }
                    ),
                },
                "steps": {
                    "type": "array",
                    "description": "The steps of an ensemble; one for a single model.",
                    "items": object_schema(
                        {
                            "name": {"type": "string"},
                            "queue_ms": summary,
                            "mean_batch_size": _NUMBER,
                            "utilization": {**_NUMBER, "maximum": 1},
                        }
                    ),
                },
                "alternatives": {
                    "type": "array",
                    "description": "Other queueing settings with a clearly lower p99 under the same arrivals.",
                    "items": object_schema({"change": {"type": "string"}, "p99_ms": _NUMBER}),
                },
            }
        ),
    }
