"""Differences between two locks as JSON, validated by `schemas/diff.schema.json`."""

import json
from collections.abc import Sequence
from typing import get_args

from infc.ir.json_schema import object_schema
from infc.lock.diff import EntryDiff, FileAction
from infc.lock.values import Cell, ChangeKind, InputDigests, LockEntry

FORMAT_VERSION = "1.0"
KINDS: tuple[str, ...] = get_args(ChangeKind)


def diff_json(diffs: Sequence[EntryDiff]) -> str:
    """The report as JSON text; unchanged deployments are listed too."""
    kinds = [diff.kind for diff in diffs]
    document = {
        "format_version": FORMAT_VERSION,
        "entries": [_entry(diff) for diff in diffs],
        "summary": {kind: kinds.count(kind) for kind in KINDS},  # type: ignore[arg-type]
        "usd_per_month": {
            "old": _month([diff.old for diff in diffs]),
            "new": _month([diff.new for diff in diffs]),
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _entry(diff: EntryDiff) -> dict[str, object]:
    known = diff.new or diff.old
    return {
        "name": diff.name,
        "target": diff.target,
        "spec": known.spec if known else None,
        "change": diff.kind,
        "inputs": [{"name": c.name, "old": c.old, "new": c.new} for c in diff.inputs],
        "fields": [{"path": c.path, "old": _cell(c.old), "new": _cell(c.new)} for c in diff.fields],
        "files": [{"path": c.path, "action": c.action} for c in diff.files],
    }


def _cell(value: Cell) -> object:
    return list(value) if isinstance(value, tuple) else value


def _month(entries: Sequence[LockEntry | None]) -> float:
    return round(sum((entry.predicted.usd_per_month or 0.0) for entry in entries if entry), 2)


def diff_schema() -> dict[str, object]:
    """The JSON Schema of the report."""
    text = {"type": "string"}
    optional = {"type": ["string", "null"]}
    cell = {"type": ["string", "number", "boolean", "array", "null"], "items": {"type": "integer"}}
    names = list(InputDigests.__dataclass_fields__)
    entry = object_schema(
        {
            "name": text,
            "target": text,
            "spec": {**optional, "description": "Relative to the lock."},
            "change": {"enum": list(KINDS), "description": "rebuilt: another engine; changed: the same engine."},
            "inputs": _list(object_schema({"name": {"enum": names}, "old": optional, "new": optional})),
            "fields": _list(object_schema({"path": text, "old": cell, "new": cell})),
            "files": _list(object_schema({"path": text, "action": {"enum": list(get_args(FileAction))}})),
        }
    )
    count = {"type": "integer", "minimum": 0}
    money = {"type": "number", "minimum": 0}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/diff.schema.json",
        "title": "infc diff",
        "description": "What `infc diff --format json` and `infc lock --format json` print.",
        **object_schema(
            {
                "format_version": {"const": FORMAT_VERSION},
                "entries": _list(entry),
                "summary": object_schema(dict.fromkeys(KINDS, count)),
                "usd_per_month": object_schema({"old": money, "new": money}),
            }
        ),
    }


def _list(items: dict[str, object]) -> dict[str, object]:
    return {"type": "array", "items": items}
