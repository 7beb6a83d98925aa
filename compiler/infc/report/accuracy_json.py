"""Accuracy evidence as JSON, and the schema of that."""

from typing import Any

from infc.ir.accuracy import AccuracyEvidence, PrecisionSearch, Verdict
from infc.ir.json_schema import object_schema
from infc.report.json_values import interval_json, number
from infc.report.plan_schema import interval_schema, nullable

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {"type": "number", "minimum": 0}


def accuracy_json(evidence: AccuracyEvidence) -> dict[str, Any]:
    """Verdict, what it rests on, exceptions and slices."""
    errors = evidence.errors
    return {
        "verdict": evidence.verdict.value,
        "metric": evidence.metric,
        "subject": evidence.subject,
        "samples": evidence.samples,
        "samples_needed": evidence.samples_needed,
        "confidence": evidence.confidence,
        "reference": number(evidence.reference),
        "value": interval_json(evidence.value),
        "drop": interval_json(evidence.drop),
        "floor": evidence.floor,
        "max_drop": evidence.max_drop,
        "max_slice_drop": evidence.max_slice_drop,
        "slices_judged": evidence.slices_judged,
        "slices": [
            {
                "name": part.name,
                "samples": part.samples,
                "reference": number(part.reference),
                "value": number(part.value),
                "drop": interval_json(part.drop),
            }
            for part in evidence.slices
        ],
        "errors": None
        if errors is None
        else {
            "median": number(errors.median),
            "p99": number(errors.p99),
            "worst": number(errors.worst),
            "worst_sample": errors.worst_sample,
        },
        "kept": list(evidence.kept),
        "search": None if evidence.search is None else _search(evidence.search),
    }


def _search(search: PrecisionSearch) -> dict[str, Any]:
    return {
        "candidates": search.candidates,
        "samples": search.samples,
        "raised": [{"name": each.name, "error_share": number(each.error_share)} for each in search.raised],
        "left_error": number(search.left_error),
        "looks": [
            {
                "raised": look.raised,
                "value": interval_json(look.value),
                "drop": interval_json(look.drop),
                "verdict": look.verdict.value,
            }
            for look in search.looks
        ],
        "is_cut_short": search.is_cut_short,
    }


def accuracy_schema() -> dict[str, Any]:
    """The JSON Schema of `accuracy_json`."""
    bound = {"type": ["number", "null"]}
    verdict = {"enum": [verdict.value for verdict in Verdict]}
    each_slice = {
        "name": _TEXT,
        "samples": _COUNT,
        "reference": {"type": "number"},
        "value": {"type": "number"},
        "drop": {
            **interval_schema(),
            "description": "The low bound is corrected for the number of slices.",
        },
    }
    return object_schema(
        {
            "verdict": verdict,
            "metric": _TEXT,
            "subject": {**_TEXT, "description": "lowered (and how it ran), or the kind of the engine that was run."},
            "samples": _COUNT,
            "samples_needed": {"type": ["integer", "null"]},
            "confidence": {"type": "number"},
            "reference": {"type": "number"},
            "value": interval_schema(),
            "drop": interval_schema(),
            "floor": bound,
            "max_drop": bound,
            "max_slice_drop": bound,
            "slices_judged": _COUNT,
            "slices": {
                "type": "array",
                "items": object_schema(each_slice),
                "description": "The parts of the data that lost most, worst first, and those that decide a limit.",
            },
            "errors": {
                **nullable(object_schema({"median": _SHARE, "p99": _SHARE, "worst": _SHARE, "worst_sample": _COUNT})),
                "description": "Distance of single samples' outputs from the reference's, as shares of their norm.",
            },
            "kept": {"type": "array", "items": _TEXT, "description": "Operators that keep a higher precision."},
            "search": {**nullable(_search_schema(verdict)), "description": "How those operators were found."},
        }
    )


def _search_schema(verdict: dict[str, Any]) -> dict[str, Any]:
    look = {"raised": _COUNT, "value": interval_schema(), "drop": interval_schema(), "verdict": verdict}
    return object_schema(
        {
            "candidates": {**_COUNT, "description": "Operators that the precision would quantise."},
            "samples": {**_COUNT, "description": "Calibration samples that sensitivity was measured on."},
            "raised": {"type": "array", "items": object_schema({"name": _TEXT, "error_share": _SHARE})},
            "left_error": {**_SHARE, "description": "Share of the plain recipe's output error that is left."},
            "looks": {"type": "array", "items": object_schema(look), "description": "Recipes as they were tested."},
            "is_cut_short": {"type": "boolean"},
        }
    )
