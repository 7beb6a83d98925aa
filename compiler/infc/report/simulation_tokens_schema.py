"""The JSON Schema of `infc simulate vllm --format json`."""

from typing import Any

from infc.ir.json_schema import object_schema

_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {**_NUMBER, "maximum": 1}
_SUMMARY_KEYS = ("mean", "p50", "p90", "p95", "p99")


def token_simulation_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a simulation of a language-model server."""
    summary = object_schema(dict.fromkeys(_SUMMARY_KEYS, _NUMBER))
    cache = object_schema(
        {
            "mean_utilization": {**_SHARE, "type": ["number", "null"], "description": "Null: no size was given."},
            "peak_utilization": {**_SHARE, "type": ["number", "null"]},
            "preemptions": _COUNT,
            "prefix_hit_share": {**_SHARE, "description": "Share of the prompt tokens that the cache held."},
        }
    )
    fit = object_schema(
        {
            "median_error": {**_NUMBER, "description": "Relative, each measured step left out of the fit."},
            "p90_error": _NUMBER,
            "notes": {"type": "array", "items": {"type": "string"}},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc simulation of a language-model server",
        "description": "What `infc simulate vllm --format json` prints. Percentiles by nearest rank.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "latency_ms": {**summary, "description": "From the request to its last token."},
                "queue_ms": {**summary, "description": "Until a step first works on the request."},
                "ttft_ms": {**summary, "description": "From the request to its first token."},
                "tpot_ms": {
                    "anyOf": [summary, {"type": "null"}],
                    "description": "From the first token to the last, by the tokens after the first. Null: there are "
                    "none after the first.",
                },
                "itl_ms": {
                    "anyOf": [summary, {"type": "null"}],
                    "description": "Every gap between two tokens of a request. Null: there are none.",
                },
                "mean_batch_size": {**_NUMBER, "description": "Sequences in a step."},
                "utilization": {**_SHARE, "description": "Share of the time in which steps run."},
                "throughput_rps": _NUMBER,
                "output_tokens_per_s": _NUMBER,
                "goodput_rps": {**_NUMBER, "type": ["number", "null"], "description": "Null: no SLO was given."},
                "kv_cache": cache,
                "is_saturated": {"type": "boolean", "description": "More requests arrive than can be answered."},
                "requests": {"type": "integer", "minimum": 1},
                "step_fit": fit,
            }
        ),
    }
