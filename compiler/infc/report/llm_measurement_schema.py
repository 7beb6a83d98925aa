"""The JSON Schema of `infc validate --format json` for a language model."""

from typing import Any, get_args

from infc.ir.accuracy import Verdict
from infc.ir.json_schema import object_schema
from infc.ir.llm_measurement import LoadTool, TokenMetric
from infc.report.llm_measurement_json import KIND
from infc.report.measurement_schema import curve_schema

_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_METRICS = get_args(TokenMetric)


def llm_measurement_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a measured language-model server."""
    times = {f"{metric}_ms": _map(_interval()) for metric in _METRICS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc measurement of a language model",
        "description": "What `infc validate --format json` prints of a vLLM bundle: token latencies and verdict.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "kind": {"const": KIND},
                "name": _TEXT,
                "target": _TEXT,
                "tool": {"enum": list(get_args(LoadTool)), "description": "What generated the load."},
                "is_rehearsal": {
                    "type": "boolean",
                    "description": "The real server with the plan's step times; no accelerator ran.",
                },
                "verdict": _verdict(),
                "stopped_by": {"enum": ["settled", "budget", "saturated", "imported"]},
                "slo": {"type": "array", "items": _slo_item()},
                **times,
                "predicted": object_schema(dict(times)),
                "interval_confidence": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "distribution_ms": _map(curve_schema()),
                "goodput_rps": _NUMBER | {"description": "Requests within every target, per second."},
                "output_tokens_per_s": _NUMBER,
                "mean_prompt_tokens": _NUMBER,
                "mean_output_tokens": _NUMBER,
                "load": object_schema(
                    {
                        "offered_rps": _NUMBER,
                        "completed_rps": _NUMBER,
                        "requests": _COUNT,
                        "errors": _COUNT,
                        "warmup_s": _NUMBER,
                        "duration_s": _NUMBER,
                        "send_lag_p99_ms": {"type": "number"},
                    }
                ),
                "server": _or_null(_server()),
                "step_times": _or_null({"type": "array", "items": _step()}),
                "environment": _map(_TEXT),
                "notes": {"type": "array", "items": _TEXT},
            }
        ),
    }


def _slo_item() -> dict[str, Any]:
    return object_schema(
        {
            "metric": {"enum": list(_METRICS)},
            "percentile": {"type": "string", "pattern": r"^p\d+(\.\d+)?$"},
            "limit_ms": _NUMBER,
            "predicted_ms": _or_null(_interval()),
            "measured_ms": _interval(),
            "verdict": _verdict(),
            "confidence": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "samples": _COUNT,
            "overs": _COUNT,
            "effective_samples": _NUMBER,
            "samples_needed": _or_null(_COUNT)
            | {"description": "Requests in all that would settle an inconclusive verdict."},
        }
    )


def _server() -> dict[str, Any]:
    return object_schema(
        {
            "mean_ms": _map(_NUMBER) | {"description": "By the server's own metrics, over the measured time."},
            "client_mean_ms": _map(_NUMBER) | {"description": "The same requests as the client saw them."},
            "requests": _COUNT,
            "preemptions": _COUNT,
            "kv_cache_usage": _or_null({"type": "number", "minimum": 0, "maximum": 1}),
        }
    )


def _step() -> dict[str, Any]:
    counts = ("prefill_tokens", "prefill_seqs", "decode_seqs", "context_tokens", "samples")
    return object_schema({**dict.fromkeys(counts, _COUNT), "ms": _NUMBER})


def _interval() -> dict[str, Any]:
    unbounded = _or_null(_NUMBER) | {"description": "null: the samples do not bound this side."}
    return object_schema({"value": _NUMBER, "low": _NUMBER, "high": unbounded})


def _verdict() -> dict[str, Any]:
    return {"enum": [verdict.value for verdict in Verdict]}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _map(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}
