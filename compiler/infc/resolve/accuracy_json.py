"""Accuracy evidence <-> JSON, as stored in `infc-profiles/accuracy-*.json`. Equal values give equal bytes."""

from collections.abc import Mapping

from infc.ir.accuracy import (
    AccuracyEvidence,
    OutputErrors,
    PrecisionSearch,
    RaisedOperator,
    SearchLook,
    SliceDelta,
    Verdict,
)
from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision
from infc.resolve.json_reader import JsonObject, canonical_json, plain_number
from infc.resolve.profile_json import (
    FORMAT_VERSION,
    interval_from_json,
    json_from_interval,
    member,
    opened_profile,
)

_TEXT: Mapping[str, object] = {"type": "string"}
_NUMBER: Mapping[str, object] = {"type": "number"}
_COUNT: Mapping[str, object] = {"type": "integer", "minimum": 0}
_INTERVAL: Mapping[str, object] = {"$ref": "#/$defs/interval"}
_VERDICT: Mapping[str, object] = {"enum": [str(value) for value in Verdict]}


def text_from_accuracy(evidence: AccuracyEvidence) -> str:
    """The stored form of accuracy evidence."""
    return canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "accuracy",
            "model_digest": evidence.model_digest,
            "precision": str(evidence.precision),
            "recipe_digest": evidence.recipe_digest,
            "subject": evidence.subject,
            "dataset_digest": evidence.dataset_digest,
            "metric": evidence.metric,
            "samples": evidence.samples,
            "confidence": plain_number(evidence.confidence),
            "reference": plain_number(evidence.reference),
            "value": json_from_interval(evidence.value),
            "drop": json_from_interval(evidence.drop),
            "floor": evidence.floor,
            "max_drop": evidence.max_drop,
            "max_slice_drop": evidence.max_slice_drop,
            "verdict": str(evidence.verdict),
            "samples_needed": evidence.samples_needed,
            "kept": list(evidence.kept),
            "slices": [_json_from_slice(part) for part in evidence.slices],
            "slices_judged": evidence.slices_judged,
            "errors": None if evidence.errors is None else _json_from_errors(evidence.errors),
            "search": None if evidence.search is None else _json_from_search(evidence.search),
        }
    )


def accuracy_from_text(text: str) -> AccuracyEvidence:
    """The accuracy evidence of a stored text; ProfileFormatError when it is none.

    Fields that files of earlier versions lack are read as their defaults.
    """
    fields = opened_profile(text, "accuracy")
    known = fields.names()
    errors = fields.optional("errors", fields.nested) if "errors" in known else None
    search = fields.optional("search", fields.nested) if "search" in known else None
    return AccuracyEvidence(
        model_digest=fields.text("model_digest"),
        precision=member(Precision, fields.text("precision")),
        recipe_digest=fields.text("recipe_digest"),
        subject=fields.text("subject"),
        dataset_digest=fields.text("dataset_digest"),
        metric=fields.text("metric"),
        samples=fields.integer("samples"),
        confidence=fields.number("confidence"),
        reference=fields.number("reference"),
        value=interval_from_json(fields.nested("value")),
        drop=interval_from_json(fields.nested("drop")),
        floor=fields.optional("floor", fields.number),
        max_drop=fields.optional("max_drop", fields.number),
        max_slice_drop=fields.optional("max_slice_drop", fields.number) if "max_slice_drop" in known else None,
        verdict=member(Verdict, fields.text("verdict")),
        samples_needed=fields.optional("samples_needed", fields.integer),
        kept=fields.texts("kept") if "kept" in known else (),
        slices=tuple(_slice_from_json(part) for part in fields.nested_list("slices")) if "slices" in known else (),
        slices_judged=fields.integer("slices_judged") if "slices_judged" in known else 0,
        errors=None if errors is None else _errors_from_json(errors),
        search=None if search is None else _search_from_json(search),
    )


def accuracy_properties() -> dict[str, object]:
    """The fields of the JSON Schema."""
    share = {**_NUMBER, "minimum": 0}
    raised = object_schema({"name": _TEXT, "error_share": share})
    look = object_schema({"raised": _COUNT, "value": _INTERVAL, "drop": _INTERVAL, "verdict": _VERDICT})
    search = object_schema(
        {
            "candidates": _COUNT,
            "samples": _COUNT,
            "raised": {"type": "array", "items": raised},
            "left_error": share,
            "looks": {"type": "array", "items": look},
            "is_cut_short": {"type": "boolean"},
        }
    )
    part = {"name": _TEXT, "samples": _COUNT, "reference": _NUMBER, "value": _NUMBER, "drop": _INTERVAL}
    return {
        "model_digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "precision": {"enum": [str(value) for value in Precision]},
        "recipe_digest": _TEXT,
        "subject": _TEXT,
        "dataset_digest": _TEXT,
        "metric": _TEXT,
        "samples": _COUNT,
        "confidence": _NUMBER,
        "reference": _NUMBER,
        "value": _INTERVAL,
        "drop": _INTERVAL,
        "floor": _nullable(_NUMBER),
        "max_drop": _nullable(_NUMBER),
        "max_slice_drop": _nullable(_NUMBER),
        "verdict": _VERDICT,
        "samples_needed": _nullable(_COUNT),
        "kept": {"type": "array", "items": _TEXT},
        "slices": {"type": "array", "items": object_schema(part)},
        "slices_judged": _COUNT,
        "errors": _nullable(
            object_schema({"median": share, "p99": share, "worst": share, "worst_sample": _COUNT}),
        ),
        "search": _nullable(search),
    }


def _json_from_slice(part: SliceDelta) -> Mapping[str, object]:
    return {
        "name": part.name,
        "samples": part.samples,
        "reference": plain_number(part.reference),
        "value": plain_number(part.value),
        "drop": json_from_interval(part.drop),
    }


def _slice_from_json(fields: JsonObject) -> SliceDelta:
    return SliceDelta(
        name=fields.text("name"),
        samples=fields.integer("samples"),
        reference=fields.number("reference"),
        value=fields.number("value"),
        drop=interval_from_json(fields.nested("drop")),
    )


def _json_from_errors(errors: OutputErrors) -> Mapping[str, object]:
    return {
        "median": plain_number(errors.median),
        "p99": plain_number(errors.p99),
        "worst": plain_number(errors.worst),
        "worst_sample": errors.worst_sample,
    }


def _errors_from_json(fields: JsonObject) -> OutputErrors:
    return OutputErrors(
        median=fields.number("median"),
        p99=fields.number("p99"),
        worst=fields.number("worst"),
        worst_sample=fields.integer("worst_sample"),
    )


def _json_from_search(search: PrecisionSearch) -> Mapping[str, object]:
    return {
        "candidates": search.candidates,
        "samples": search.samples,
        "raised": [{"name": each.name, "error_share": plain_number(each.error_share)} for each in search.raised],
        "left_error": plain_number(search.left_error),
        "looks": [
            {
                "raised": look.raised,
                "value": json_from_interval(look.value),
                "drop": json_from_interval(look.drop),
                "verdict": str(look.verdict),
            }
            for look in search.looks
        ],
        "is_cut_short": search.is_cut_short,
    }


def _search_from_json(fields: JsonObject) -> PrecisionSearch:
    return PrecisionSearch(
        candidates=fields.integer("candidates"),
        samples=fields.integer("samples"),
        raised=tuple(
            RaisedOperator(name=each.text("name"), error_share=each.number("error_share"))
            for each in fields.nested_list("raised")
        ),
        left_error=fields.number("left_error"),
        looks=tuple(
            SearchLook(
                raised=look.integer("raised"),
                value=interval_from_json(look.nested("value")),
                drop=interval_from_json(look.nested("drop")),
                verdict=member(Verdict, look.text("verdict")),
            )
            for look in fields.nested_list("looks")
        ),
        is_cut_short=fields.boolean("is_cut_short"),
    )


def _nullable(schema: Mapping[str, object]) -> dict[str, object]:
    return {"anyOf": [schema, {"type": "null"}]}
