"""JSON Schemas of the money, energy and capacity that a plan reports."""

from typing import Any

from infc.ir.json_schema import object_schema

_NUMBER = {"type": "number"}
_MAYBE = {"type": ["number", "null"]}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_COUNT = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_INTERVAL = object_schema({"value": _NUMBER, "low": _NUMBER, "high": _NUMBER})


def cost_schema() -> dict[str, Any]:
    """Money of the whole deployment at the mean rate."""
    return object_schema(
        {
            **dict.fromkeys(("usd_per_hour", "usd_per_month", "usd_per_million_requests"), _NUMBER),
            "usd_per_million_tokens": {**_MAYBE, "description": "By generated tokens; null without a language model."},
            "usd_per_million_all_tokens": {**_MAYBE, "description": "By generated tokens and those of the prompts."},
            "requests_per_usd": _MAYBE,
            "tokens_per_usd": {**_MAYBE, "description": "Generated tokens."},
            "interval_usd_per_month": {
                **_INTERVAL,
                "description": "At the replicas that carry the peak at the ends of the predicted service times.",
            },
            "interval_usd_per_million_requests": _INTERVAL,
            "parts": {
                "type": "array",
                "items": object_schema({"name": _TEXT, "devices": _NUMBER, "usd_per_hour": _NUMBER}),
                "description": "rent; reserved 1y, reserved 3y, on-demand, spot; purchase, hosting, electricity.",
            },
            "notes": _TEXTS,
            "price_source": _TEXT,
        }
    )


def energy_schema() -> dict[str, Any]:
    """Energy of all devices at the mean rate; cooling and the rest of the machine not included."""
    return object_schema(
        {
            "power_w": _INTERVAL,
            "joules_per_request": _INTERVAL,
            "joules_per_token": {"anyOf": [_INTERVAL, {"type": "null"}], "description": "By generated tokens."},
            "kwh_per_month": _INTERVAL,
        }
    )


def capacity_schema() -> dict[str, Any]:
    """Rolling updates, availability and what redundancy costs."""
    availability = object_schema(
        {
            "target": _NUMBER,
            "assumed_of_one_replica": {**_NUMBER, "description": "An assumption, not a measurement."},
            "reached": {**_NUMBER, "description": "If replicas fail independently."},
            "redundancy_needed": _COUNT,
        }
    )
    return object_schema(
        {
            "redundancy": _COUNT,
            "redundancy_usd_per_month": _MAYBE,
            "is_over_provisioned": _FLAG,
            "rollout": object_schema(
                {
                    "max_surge": _COUNT,
                    "max_unavailable": _COUNT,
                    "keeps_slo": _FLAG,
                    "spare_lost": {**_COUNT, "description": "Replicas that may be lost during the update."},
                    "usd_per_hour": {**_MAYBE, "description": "Of the surge, while the update lasts."},
                }
            ),
            "availability": {"anyOf": [availability, {"type": "null"}]},
            "notes": _TEXTS,
        }
    )
