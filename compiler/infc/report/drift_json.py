"""`infc drift` as JSON, and its schema (`schemas/drift.schema.json`)."""

import json
import math
from typing import Any, get_args

from infc.ir.json_schema import object_schema
from infc.lock.drift import DriftItem, DriftReport, DriftVerdict, ObjectiveItem, Observed, ObservedPlan
from infc.lock.drift.values import AREAS, DriftSubject
from infc.report.json_values import Json, number, optional

FORMAT_VERSION = "1.0"
_VERDICTS = ("same", "drifted", "slo-missed", "cannot-tell")


def drift_json(report: DriftReport) -> str:
    """The report as JSON text."""
    return json.dumps(drift_document(report), indent=2, ensure_ascii=False)


def drift_document(report: DriftReport) -> dict[str, Json]:
    """The report as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "name": report.name,
        "target": report.target,
        "spec": report.spec,
        "subject": report.subject,
        "endpoint": report.endpoint,
        "server": report.server,
        "verdict": report.verdict,
        "observed": {
            "requests": report.requests,
            "duration_s": optional(report.duration_s),
            "since_start": report.is_since_start,
            "at_acceptance": report.is_of_acceptance,
        },
        "items": [_item(item) for item in report.items],
        "slo": [_objective(each) for each in report.objectives],
        "plan": None if report.plan is None else _plan(report.plan),
        "summary": {
            verdict.value.replace(" ", "_"): sum(item.verdict is verdict for item in report.items)
            for verdict in DriftVerdict
        },
        "notes": list(report.notes),
    }


def _item(item: DriftItem) -> Json:
    return {
        "id": item.id,
        "area": item.area,
        "name": item.name,
        "expected": _cell(item.expected),
        "observed": _cell(item.observed),
        "low": _finite(item.low),
        "high": _finite(item.high),
        "unit": item.unit,
        "verdict": item.verdict.value,
        "source": item.source,
        "note": item.note,
    }


def _objective(each: ObjectiveItem) -> Json:
    return {
        "metric": each.metric,
        "percentile": each.label,
        "limit_ms": number(each.limit_s * 1e3),
        "predicted_ms": None if each.predicted_s is None else number(each.predicted_s * 1e3),
        "observed_low_ms": None if each.low_s is None else number(each.low_s * 1e3),
        "observed_high_ms": None if each.high_s is None else _finite(each.high_s * 1e3),
        "requests": each.requests,
        "within_at_least": each.fewest_within,
        "within_at_most": each.most_within,
        "confidence": each.confidence,
        "verdict": each.verdict.value,
        "note": each.note,
    }


def _plan(plan: ObservedPlan) -> Json:
    return {
        "workload": dict(plan.workload),
        "candidate": plan.candidate,
        "reason": plan.choice,
        "replicas": plan.replicas,
        "usd_per_month": optional(plan.usd_per_month),
        "usd_per_month_change": optional(plan.usd_per_month_change),
        "locked": {
            "candidate": plan.locked_candidate,
            "replicas": plan.locked_replicas,
            "usd_per_month": optional(plan.locked_usd_per_month),
        },
    }


def _cell(value: str | int | float | bool | None) -> Json:
    return number(value) if isinstance(value, float) else value


def _finite(value: float | None) -> Json:
    return None if value is None or math.isinf(value) else number(value)


def drift_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the report."""
    return {
        "description": "What `infc drift --format json` prints: what runs, was rendered or recorded, against the lock.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "name": _TEXT,
                "target": _TEXT,
                "spec": _TEXT,
                "subject": {"enum": list(get_args(DriftSubject)), "description": "What was looked at."},
                "endpoint": _TEXT | {"description": "Where it is: an address, a context and namespace, a path."},
                "server": _TEXT | {"description": "What it is, in words."},
                "verdict": {
                    "enum": list(_VERDICTS),
                    "description": "The worst that is known; exit codes 0, 4, 3 and 6 in this order.",
                },
                "observed": object_schema(
                    {
                        "requests": _COUNT,
                        "duration_s": _OPTIONAL,
                        "since_start": {
                            "type": "boolean",
                            "description": "Not a window: all since the server started.",
                        },
                        "at_acceptance": {
                            "type": "boolean",
                            "description": "Not a window: what an edge device measured when it took the release.",
                        },
                    }
                ),
                "items": {"type": "array", "items": _item_schema()},
                "slo": {"type": "array", "items": _objective_schema()},
                "plan": {
                    "anyOf": [_plan_schema(), {"type": "null"}],
                    "description": "A plan for the observed workload, where it no longer is the spec's.",
                },
                "summary": object_schema({verdict.value.replace(" ", "_"): _COUNT for verdict in DriftVerdict}),
                "notes": {"type": "array", "items": _TEXT},
            }
        ),
    }


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}
_OPTIONAL = {"type": ["number", "null"]}
_CELL = {"type": ["string", "number", "boolean", "null"]}


def _item_schema() -> dict[str, Any]:
    return object_schema(
        {
            "id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9.-]*$"},
            "area": {"enum": list(AREAS)},
            "name": _TEXT,
            "expected": _CELL,
            "observed": _CELL | {"description": "null: it was not seen; `note` says why."},
            "low": _OPTIONAL | {"description": "What bounds an observed number that is known by a bucket or sample."},
            "high": _OPTIONAL,
            "unit": _TEXT,
            "verdict": {"enum": [verdict.value for verdict in DriftVerdict]},
            "source": _TEXT,
            "note": _TEXT,
        }
    )


def _objective_schema() -> dict[str, Any]:
    return object_schema(
        {
            "metric": {"enum": ["ttft", "tpot", "itl", "e2e"]},
            "percentile": {"type": "string", "pattern": r"^p\d+(\.\d+)?$"},
            "limit_ms": _NUMBER,
            "predicted_ms": _OPTIONAL,
            "observed_low_ms": _OPTIONAL,
            "observed_high_ms": _OPTIONAL | {"description": "null: too few requests, or past the last bucket's edge."},
            "requests": _COUNT,
            "within_at_least": _COUNT,
            "within_at_most": _COUNT,
            "confidence": _NUMBER,
            "verdict": {"enum": [verdict.value for verdict in Observed]},
            "note": _TEXT,
        }
    )


def _plan_schema() -> dict[str, Any]:
    return object_schema(
        {
            "workload": {"type": "object", "additionalProperties": _TEXT},
            "candidate": {"type": ["string", "null"], "description": "null: nothing allowed meets the SLO."},
            "reason": _TEXT,
            "replicas": {"type": ["integer", "null"]},
            "usd_per_month": _OPTIONAL,
            "usd_per_month_change": _OPTIONAL | {"description": "What it costs more than the locked plan."},
            "locked": object_schema({"candidate": _TEXT, "replicas": _COUNT, "usd_per_month": _OPTIONAL}),
        }
    )
