"""The JSON Schema of what a comparison adds to `infc plan --format json`."""

from collections.abc import Sequence
from typing import Any, get_args

from infc.ir.change import ChangeAction, Evidence, InputKind
from infc.ir.json_schema import object_schema

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}


def document_schemas() -> dict[str, Any]:
    """The top-level keys; a plan inside a bundle has none of them."""
    return {
        "base": {**_TEXT, "description": "What is compared with: a lock, or a git revision with its merge base."},
        "digest": {**_TEXT, "pattern": "^sha256:", "description": "Of `deployments`: names what was reviewed."},
        "changes": {"type": "array", "items": change_schema()},
        "deployments": {
            "type": "array",
            "items": _deployment_schema(),
            "description": "Every input and decision; `infc compile --plan` refuses where they differ.",
        },
    }


def summary_schemas() -> dict[str, Any]:
    """What the summary says of the changes."""
    return {
        "changes": object_schema(dict.fromkeys(get_args(ChangeAction), _COUNT)),
        "engine_builds": _COUNT,
        "usd_per_month": object_schema({"old": _NUMBER, "new": _NUMBER}),
        "slo": object_schema(
            {
                "promises": {**_COUNT, "description": "Limits of added and changed deployments."},
                "met": _COUNT,
                "by_estimate": {**_COUNT, "description": "Met ones that rest on no measurement."},
            }
        ),
    }


def _deployment_schema() -> dict[str, Any]:
    maybe = {"type": ["string", "null"]}
    return object_schema(
        {
            "name": _TEXT,
            "target": _TEXT,
            "spec": {**_TEXT, "description": "From the top of the repository."},
            "inputs": {"type": "object", "additionalProperties": maybe, "description": "Digests, versions, prices."},
            "decision": {"type": "object", "additionalProperties": _TEXT},
            "locked": {**maybe, "description": "Digest of the lock entry of one that was not planned again."},
        }
    )


def change_schema() -> dict[str, Any]:
    """The JSON Schema of one item of `changes`."""
    text, count = {"type": "string"}, {"type": ["integer", "null"], "minimum": 1}
    maybe_text, maybe_number = {"type": ["string", "null"]}, {"type": ["number", "null"]}
    schema = object_schema(
        {
            "name": text,
            "target": maybe_text,
            "spec": {**text, "description": "As the command was given it; of a removed one where it was."},
            "action": {
                "enum": list(get_args(ChangeAction)),
                "description": "rebuilt: another engine or checkpoint; changed: the same one, other settings or inputs",
            },
            "status": {"enum": ["feasible", "infeasible", "invalid", "removed"]},
            "inputs": {
                "type": "array",
                "description": "Which inputs differ, each as far down as it is known.",
                "items": object_schema(
                    {
                        "kind": {"enum": list(get_args(InputKind))},
                        "path": text,
                        **dict.fromkeys(("old", "new", "file"), maybe_text),
                        **dict.fromkeys(("line", "column"), count),
                    }
                ),
            },
            "effects": {"type": "array", "items": _effect_schema()},
            "files": {
                "type": "array",
                "items": object_schema({"path": text, "action": {"enum": ["added", "changed", "removed"]}}),
            },
            "policy": {"type": "array", "items": _finding_schema()},
            "engine_pending": {"type": "boolean", "description": "Engine and what is measured with it come later."},
            "usd_per_month": object_schema({"old": maybe_number, "new": maybe_number}),
            "notes": {"type": "array", "items": text},
        }
    )
    return {**schema, "description": "One deployment before and after."}


def _effect_schema() -> dict[str, Any]:
    text, maybe_number = {"type": "string"}, {"type": ["number", "null"]}
    figure = object_schema(
        {
            "value": {"type": ["string", "number", "boolean", "null"]},
            "unit": text,
            "low": maybe_number,
            "high": maybe_number,
            "evidence": {"enum": [evidence.value for evidence in Evidence]},
        }
    )
    side = {"anyOf": [figure, {"type": "null"}]}
    return object_schema(
        {
            "id": text,
            "label": text,
            "old": side,
            "new": side,
            "limit": maybe_number,
            "met": {"type": ["boolean", "null"]},
            "changed": {"type": "boolean"},
        }
    )


def _finding_schema() -> dict[str, Any]:
    text = {"type": "string"}
    span: Sequence[Any] = [text, *[{"type": "integer", "minimum": 1}] * 4]
    return object_schema(
        {
            "rule": text,
            "limit": {"type": ["number", "string"]},
            "written": text,
            "action": {"enum": ["warn", "fail"]},
            "specs": {"type": ["array", "null"], "items": text},
            "because": {"type": ["string", "null"]},
            "outcome": {"enum": ["violated", "unknown"]},
            "predicted": text,
            "span": {"type": "array", "prefixItems": span, "items": False, "description": "file, lines and columns"},
        }
    )
