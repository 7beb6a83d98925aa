"""The JSON Schema of `infc plan --format json`."""

from typing import Any, get_args

from infc.diag import Severity
from infc.ir.candidate import ServerName, SpeculationMethod
from infc.ir.interval import Basis
from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision
from infc.report.change_schema import document_schemas, summary_schemas
from infc.report.plan_models import models_schema
from infc.report.plan_money_schema import capacity_schema, cost_schema, energy_schema
from infc.report.plan_review_json import review_schemas

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_TEXTS = {"type": "array", "items": _TEXT}


def plan_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the report: one entry per decision."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc plan",
        "description": "What `infc plan --format json` prints: one entry per spec, and one for each of its targets.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                **document_schemas(),
                "specs": {
                    "type": "array",
                    "items": _entry(),
                    "description": "What was planned: with a base, the specs that the change can concern.",
                },
                "summary": object_schema(
                    {
                        **dict.fromkeys(("decisions", "feasible", "infeasible", "invalid"), _COUNT),
                        **summary_schemas(),
                    },
                    optional=tuple(summary_schemas()),
                ),
            },
            optional=tuple(document_schemas()),
        ),
    }


def interval_schema() -> dict[str, Any]:
    """A value with the bounds of its 90% interval."""
    return object_schema({"value": _NUMBER, "low": _NUMBER, "high": _NUMBER})


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null where it does not apply."""
    return {"anyOf": [schema, {"type": "null"}]}


def _entry() -> dict[str, Any]:
    return object_schema(
        {
            "name": _TEXT,
            "path": _TEXT,
            "target": {
                "type": ["string", "null"],
                "description": "Hardware id of a deploy.targets entry; null is the free choice.",
            },
            "status": {"enum": ["feasible", "infeasible", "invalid"]},
            "decision": nullable(decision_schema()),
            "estimate": nullable(estimate_schema()),
            "reasons": {**_TEXTS, "description": "Why this one, in order of weight."},
            "comments": {**_TEXTS, "description": "What the emitted scheduler settings rest on."},
            "models": models_schema(),
            "runners_up": {
                "type": "array",
                "items": object_schema({"decision": decision_schema(), "estimate": estimate_schema()}),
            },
            "rejected": {
                "type": "array",
                "items": object_schema(dict.fromkeys(("candidate", "constraint", "predicted", "limit"), _TEXT)),
            },
            "binding": {**_TEXTS, "description": "Spec paths that alone stand in the way of a plan."},
            "relaxations": {
                "type": "array",
                "items": object_schema(
                    {
                        **dict.fromkeys(("path", "current", "needed", "candidate"), _TEXT),
                        "usd_per_month": {"type": ["number", "null"]},
                    }
                ),
            },
            "smallest_hardware": nullable(_smallest_schema()),
            "nearest_power_modes": {
                "type": "array",
                "items": _mode_schema(),
                "description": "Where no power mode meets constraints.max_power together with all else.",
            },
            "search": nullable(
                object_schema(
                    {
                        "considered": {**_COUNT, "description": "Places: a device at a precision and parallelism."},
                        "simulated": {**_COUNT, "description": "Places that were sized by simulation."},
                        "simulations": {**_COUNT, "description": "Runs of the simulator; 0 where not counted."},
                        "pruned": {
                            "type": "object",
                            "additionalProperties": _COUNT,
                            "description": "Places that arithmetic ruled out, by constraint; objective: by its bound.",
                        },
                    }
                )
            ),
            "capacity": nullable(capacity_schema()),
            **review_schemas(),
            "changes": {
                "type": "array",
                "items": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
                "description": "What differs from the lock.",
            },
            "diagnostics": {"type": "array", "items": _diagnostic()},
        }
    )


def decision_schema() -> dict[str, Any]:
    """A chosen candidate."""
    count = {"type": ["integer", "null"], "minimum": 0}
    return object_schema(
        {
            "candidate": {**_TEXT, "description": "The label that --why takes."},
            "model": {"type": ["string", "null"], "description": "Of several that the spec names."},
            "hardware": _TEXT,
            "power_mode": {"type": ["string", "null"]},
            "dla_core": {**count, "description": "Deep learning accelerator of a Jetson module; null is the GPU."},
            "server": {"enum": list(get_args(ServerName))},
            "precision": {"enum": [precision.value for precision in Precision]},
            "tensor_parallel": count,
            "pipeline_parallel": count,
            "instances_per_gpu": count,
            "max_batch_size": count,
            "max_queue_delay_us": count,
            "has_prefetch": {"type": ["boolean", "null"]},
            "max_num_seqs": count,
            "max_num_batched_tokens": count,
            "kv_precision": {
                "anyOf": [{"enum": [precision.value for precision in Precision]}, {"type": "null"}],
                "description": "Of the KV cache; null is the model's own.",
            },
            "vllm": nullable(_serving_schema()),
            "replicas": {"type": "integer", "minimum": 1},
            "accelerators": {"type": "integer", "minimum": 1},
        }
    )


def estimate_schema() -> dict[str, Any]:
    """What a candidate is predicted to do."""
    return object_schema(
        {
            "latency_ms": {"type": "object", "additionalProperties": interval_schema()},
            "ttft_ms": nullable({"type": "object", "additionalProperties": interval_schema()}),
            "tpot_ms": nullable({"type": "object", "additionalProperties": interval_schema()}),
            "throughput_rps": _NUMBER,
            "throughput_interval_rps": interval_schema(),
            "goodput_rps": _NUMBER,
            "utilization": {"type": "number", "minimum": 0, "maximum": 1},
            "mean_utilization": {"type": ["number", "null"], "description": "At the mean rate over the day."},
            "mean_batch_size": _NUMBER,
            "memory_gib": _NUMBER,
            "memory_basis": {"enum": ["estimate", "builder"], "description": "builder: as stated for a built engine"},
            "power_w": {"type": ["number", "null"]},
            "power_interval_w": nullable(interval_schema()),
            "requests_per_joule": {"type": ["number", "null"], "description": "Within the SLO, at the peak."},
            "tokens_per_joule": {"type": ["number", "null"], "description": "Generated, within the SLO, at the peak."},
            "cost": nullable(cost_schema()),
            "energy": nullable(energy_schema()),
            "tokens": nullable(_tokens_schema()),
            "service_ms": nullable(
                {"type": "array", "items": _NUMBER, "description": "One execution of batch 1, 2, 3..."}
            ),
            "basis": {"enum": [basis.value for basis in Basis]},
            "confidence": _NUMBER,
        }
    )


def _tokens_schema() -> dict[str, Any]:
    return object_schema(
        {
            "itl_ms": {"type": "object", "additionalProperties": interval_schema()},
            "output_tokens_per_s": {**interval_schema(), "description": "What all replicas sustain."},
            "kv_cache_tokens": {**_COUNT, "description": "Of one replica."},
            "kv_cache_utilization": _NUMBER,
            "running_sequences": {**_NUMBER, "description": "Mean number in a step of one replica."},
            "preemptions_per_request": _NUMBER,
            "usual_requests_that_fit": {**_COUNT, "description": "In one replica's cache at once, at the medians."},
            "longest_requests_that_fit": {**_COUNT, "description": "The same of the longest request."},
        }
    )


def _smallest_schema() -> dict[str, Any]:
    schema = object_schema(
        {
            "candidate": _TEXT,
            "hardware": _TEXT,
            "accelerators": {"type": "integer", "minimum": 1},
            "precision": {"enum": [precision.value for precision in Precision]},
            "memory_gib": _NUMBER,
            "usd_per_month": {"type": ["number", "null"]},
        }
    )
    return {**schema, "description": "The least that holds a language model that no allowed host holds, at any speed."}


def _mode_schema() -> dict[str, Any]:
    return object_schema(
        {
            **dict.fromkeys(("candidate", "hardware", "power_mode"), _TEXT),
            "accelerators": {"type": "integer", "minimum": 1},
            "power_w": {**_NUMBER, "description": "What the devices may draw in it."},
            **{key: {"type": "boolean"} for key in ("draws_least", "comes_nearest")},
            "misses": {**_TEXTS, "description": "What it does not hold, with the limit."},
        }
    )


def _serving_schema() -> dict[str, Any]:
    drafted = object_schema(
        {
            "method": {"enum": list(get_args(SpeculationMethod))},
            "tokens": {"type": "integer", "minimum": 1},
            "acceptance": {"type": "number", "minimum": 0, "maximum": 1},
            "model": {"type": ["string", "null"]},
        }
    )
    return object_schema(
        {
            "max_model_len": {"type": "integer", "minimum": 1},
            "gpu_memory_utilization": {"type": ["number", "null"], "description": "Null on a CPU."},
            "kv_cache_memory_bytes": {"type": ["integer", "null"], "description": "Told on a CPU and a Jetson."},
            "prefix_caching": {"type": "boolean"},
            "chunked_prefill": {"type": "boolean"},
            "speculation": nullable(drafted),
        }
    )


def _diagnostic() -> dict[str, Any]:
    return object_schema(
        {
            "id": _TEXT,
            "severity": {"enum": [severity.value for severity in Severity]},
            "message": _TEXT,
            "path": {"type": ["string", "null"]},
            "line": {"type": ["integer", "null"]},
            "column": {"type": ["integer", "null"]},
            "help": {"type": ["string", "null"]},
        }
    )
