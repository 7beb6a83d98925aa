"""Savings, policy, ladder and costs of constraints as JSON, with their schemas."""

from typing import Any

from infc.ir.interval import Basis
from infc.ir.json_schema import object_schema
from infc.plan.ladder import Rung
from infc.plan.savings import Savings
from infc.report.json_values import Json, interval_json, number, optional
from infc.report.review import Review


def review_json(review: Review) -> dict[str, Json]:
    """The keys of a plan's entry; null where nothing is locked or the ladder was not asked for."""
    return {
        "savings": None if review.savings is None else _savings(review.savings),
        "policy": [
            {
                "rule": finding.threshold.rule,
                "action": finding.threshold.action,
                "outcome": finding.outcome,
                "predicted": finding.predicted,
                "limit": finding.threshold.written,
                "because": finding.threshold.because,
                "path": finding.threshold.span.path,
                "line": finding.threshold.span.line,
                "column": finding.threshold.span.column,
            }
            for finding in review.policy
        ],
        "ladder": None if review.ladder is None else [_rung(rung) for rung in review.ladder],
        "runtimes": [_rung(rung) for rung in review.runtimes],
        "constraint_costs": None
        if review.constraint_costs is None
        else [
            {
                "path": cost.path,
                "current": cost.current,
                "without": cost.without,
                "candidate": cost.candidate.label,
                "replicas": cost.candidate.replicas,
                "usd_per_month": number(cost.usd_per_month),
                "utilization": number(cost.utilization),
            }
            for cost in review.constraint_costs
        ],
    }


def _rung(rung: Rung) -> dict[str, Json]:
    return {
        "step": rung.step,
        "settings": rung.settings,
        "replicas": rung.replicas,
        "latency_ms": {label: interval_json(value.scaled(1e3)) for label, value in rung.latency_s.items()},
        "one_replica_ms": None if rung.alone_s is None else number(rung.alone_s * 1e3),
        "meets_slo": rung.meets_slo,
        "usd_per_month": optional(rung.usd_per_month),
        "usd_per_million_requests": optional(rung.usd_per_million_requests),
        "basis": rung.basis.value,
        "is_taken": rung.is_taken,
        "note": rung.note,
    }


def _savings(saved: Savings) -> dict[str, Json]:
    return {
        "before": {
            "candidate": saved.before.label,
            "replicas": saved.before.replicas,
            "usd_per_month": optional(saved.before_usd_per_month),
            "usd_per_month_when_locked": optional(saved.locked_usd_per_month),
            "power_w": optional(saved.before_power_w),
        },
        "after": {
            "candidate": saved.after.label,
            "replicas": saved.after.replicas,
            "usd_per_month": optional(saved.after_usd_per_month),
            "power_w": optional(saved.after_power_w),
        },
        "usd_per_month": optional(saved.usd_per_month),
        "usd_per_year": optional(saved.usd_per_year),
        "share": optional(saved.share),
    }


_TEXT, _NUMBER, _FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 1}
_MAYBE = {"type": ["number", "null"]}
_INTERVAL = object_schema({"value": _NUMBER, "low": _NUMBER, "high": _NUMBER})


def review_schemas() -> dict[str, Any]:
    """The schemas of `review_json`, by key."""
    return {
        "savings": {
            "anyOf": [_savings_schema(), {"type": "null"}],
            "description": "Over the deployment that the lock holds, both at today's prices; null without a change.",
        },
        "policy": {
            "type": "array",
            "items": _policy_schema(),
            "description": "Thresholds of infc-policy.yaml that the plan does not keep, or that cannot be judged.",
        },
        "ladder": {
            "anyOf": [{"type": "array", "items": _rung_schema()}, {"type": "null"}],
            "description": "What each step buys on the chosen device; null without --ladder.",
        },
        "runtimes": {
            "type": "array",
            "items": _rung_schema(),
            "description": "What the plan's settings would need on runtimes other than TensorRT; empty on a CPU.",
        },
        "constraint_costs": {
            "anyOf": [{"type": "array", "items": _constraint_schema()}, {"type": "null"}],
            "description": "What each constraint of the spec costs a month; null without --ladder.",
        },
    }


def _savings_schema() -> dict[str, Any]:
    side = {"candidate": _TEXT, "replicas": _COUNT, "usd_per_month": _MAYBE}
    before = object_schema({**side, "usd_per_month_when_locked": _MAYBE, "power_w": _MAYBE})
    after = object_schema({**side, "power_w": _MAYBE})
    money = dict.fromkeys(("usd_per_month", "usd_per_year", "share"), _MAYBE)
    return object_schema({"before": before, "after": after, **money})


def _policy_schema() -> dict[str, Any]:
    return object_schema(
        {
            "rule": _TEXT,
            "action": {"enum": ["warn", "fail"]},
            "outcome": {"enum": ["violated", "unknown"]},
            "predicted": _TEXT,
            "limit": _TEXT,
            "because": {"type": ["string", "null"]},
            "path": _TEXT,
            "line": _COUNT,
            "column": _COUNT,
        }
    )


def _rung_schema() -> dict[str, Any]:
    return object_schema(
        {
            "step": _TEXT,
            "settings": _TEXT,
            "replicas": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "Fewest that hold the SLO; null where no number does.",
            },
            "latency_ms": {"type": "object", "additionalProperties": _INTERVAL},
            "one_replica_ms": {**_MAYBE, "description": "The worst judged percentile of one; null when overloaded."},
            "meets_slo": _FLAG,
            "usd_per_month": _MAYBE,
            "usd_per_million_requests": _MAYBE,
            "basis": {"enum": [basis.value for basis in Basis]},
            "is_taken": _FLAG,
            "note": _TEXT,
        }
    )


def _constraint_schema() -> dict[str, Any]:
    return object_schema(
        {
            **dict.fromkeys(("path", "current", "without", "candidate"), _TEXT),
            "replicas": _COUNT,
            "usd_per_month": {**_NUMBER, "description": "What the plan would cost less without the constraint."},
            "utilization": _NUMBER,
        }
    )
