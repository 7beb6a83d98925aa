"""The JSON Schema of `infc simulate arrivals --format json`."""

from typing import Any, get_args

from infc.ir.json_schema import object_schema
from infc.sim.trace_fit import Miss

_NUMBER = {"type": "number", "minimum": 0}
_SIGNED = {"type": "number"}
_MAYBE = {"type": ["number", "null"], "exclusiveMinimum": 0}


def arrivals_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a fitted trace."""
    process = {
        "kind": {"enum": ["constant", "poisson", "bursty", "diurnal"]},
        "cv": {**_MAYBE, "description": "Of the gaps, once the course of the rate is divided out."},
        "multipliers": {"type": ["array", "null"], "items": _NUMBER, "description": "Of the mean, over a period."},
        "period_s": _MAYBE,
    }
    return {
        "description": "What `infc simulate arrivals --format json` prints: recorded traffic and its process.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "trace": object_schema(
                    {
                        "path": {"type": "string"},
                        "format": {"type": "string"},
                        "requests": {"type": "integer", "minimum": 2},
                        "span_s": _NUMBER,
                        "tick_s": {**_NUMBER, "description": "What the times were rounded to; 0 where they were not."},
                    }
                ),
                "rate_rps": _NUMBER,
                "cv": {**_NUMBER, "description": "Coefficient of variation of the gaps."},
                "process": {**object_schema(process), "description": "The one with the best evidence (lowest BIC)."},
                "alternatives": {
                    "type": "array",
                    "items": object_schema({**process, "bic_difference": _NUMBER}),
                },
                "is_good": {
                    "type": ["boolean", "null"],
                    "description": "Whether a plan may use the process instead of the trace; null: too few requests.",
                },
                "goodness": {"anyOf": [{"type": "null"}, _goodness()]},
                "peaks": {
                    "type": "array",
                    "description": "Rates over successive windows.",
                    "items": object_schema({"window_s": _NUMBER, "p99_rps": _NUMBER, "max_rps": _NUMBER}),
                },
                "trend": object_schema({"ratio": _NUMBER, "is_significant": {"type": "boolean"}}),
                "sizes": {
                    "type": "object",
                    "description": "By column of the trace.",
                    "additionalProperties": object_schema(dict.fromkeys(("mean", "p50", "p90", "p99", "max"), _NUMBER)),
                },
                "notes": {"type": "array", "items": {"type": "string"}},
                "workload": {"type": "string", "description": "YAML: the workload of a spec."},
            }
        ),
    }


def _goodness() -> dict[str, Any]:
    return object_schema(
        {
            "misses": {"type": "array", "items": {"enum": list(get_args(Miss))}},
            "ks_distance": {**_NUMBER, "maximum": 1},
            "ks_p_value": {**_NUMBER, "maximum": 1},
            "autocorrelation": {**_SIGNED, "description": "Of successive gaps."},
            "dispersion": {
                "type": "array",
                "description": "Variance over mean of the counts in windows; 1 is Poisson.",
                "items": object_schema({"window_s": _NUMBER, "trace": _NUMBER, "process": _NUMBER}),
            },
            "reference_queue": object_schema(
                {
                    "load": _NUMBER,
                    "service_ms": _NUMBER,
                    "p99_wait_ms": object_schema(dict.fromkeys(("trace", "process", "low", "high"), _NUMBER)),
                }
            ),
        }
    )
