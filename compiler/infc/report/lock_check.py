"""`infc lock --check` as text and as JSON (`schemas/lock-check.schema.json`)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from infc.diag import Diagnostic
from infc.lock.check import EntryStatus, Status
from infc.lock.values import InputDigests
from infc.report.diagnostics_json import diagnostic_object, diagnostics_schema
from infc.report.diagnostics_text import printable

FORMAT_VERSION = "1.0"
STATUSES: tuple[str, ...] = get_args(Status)
_COLUMN = max(map(len, STATUSES))


def render_lock_check_text(path: Path, statuses: Sequence[EntryStatus]) -> str:
    """One line for each deployment that is not ok, then the count and what to run."""
    return "\n".join(_lines(path, statuses))


def _lines(path: Path, statuses: Sequence[EntryStatus]) -> Iterator[str]:
    counts = {status: sum(s.status == status for s in statuses) for status in STATUSES}
    for status in statuses:
        if status.status != "ok":
            why = _why(status)
            told = f"{status.label}  {status.spec}{': ' + why if why else ''}"
            yield f"  {status.status:<{_COLUMN}}  {printable(told)}"
    noun = f"{len(statuses)} deployment{'s' if len(statuses) != 1 else ''}"
    if counts["ok"] == len(statuses):
        yield f"{path.name}: {noun}, up to date"
        return
    yield f"{path.name}: {noun}, " + ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    if counts["stale"] or counts["missing"] or counts["orphan"]:
        yield "help: run `infc compile` to plan, build and lock again, or `infc lock` to plan and lock without building"
    else:
        yield "help: nothing has to be done; `infc lock --upgrade` plans again with what is known now"


def _why(status: EntryStatus) -> str:
    match status.status:
        case "stale":
            return f"{', '.join(status.inputs)} changed"
        case "outdated":
            return f"{', '.join(status.inputs)} changed, which a new plan may use"
        case "missing":
            return "not locked"
        case "orphan":
            return "no spec has this name any more"
        case _:
            return ""


def lock_check_json(locks: Sequence[tuple[Path, Sequence[EntryStatus]]], diagnostics: Sequence[Diagnostic]) -> str:
    """The report as JSON text."""
    every = [status for _, statuses in locks for status in statuses]
    document = {
        "format_version": FORMAT_VERSION,
        "locks": [
            {"path": path.as_posix(), "entries": [_entry(status) for status in statuses]} for path, statuses in locks
        ],
        "summary": {status: sum(s.status == status for s in every) for status in STATUSES},
        "diagnostics": [diagnostic_object(diagnostic) for diagnostic in diagnostics],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _entry(status: EntryStatus) -> dict[str, object]:
    return {
        "name": status.name,
        "target": status.target,
        "spec": status.spec,
        "status": status.status,
        "inputs": list(status.inputs),
    }


def lock_check_schema() -> dict[str, object]:
    """The JSON Schema of the report."""
    properties = diagnostics_schema()["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - it is a schema of an object
    entry = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "target": {"type": ["string", "null"], "description": "null: nothing of this spec is locked."},
            "spec": {"type": "string", "description": "Relative to the lock."},
            "status": {"enum": list(STATUSES)},
            "inputs": {"type": "array", "items": {"enum": list(InputDigests.__dataclass_fields__)}},
        },
        "required": ["name", "target", "spec", "status", "inputs"],
        "additionalProperties": False,
    }
    lock = {
        "type": "object",
        "properties": {"path": {"type": "string"}, "entries": {"type": "array", "items": entry}},
        "required": ["path", "entries"],
        "additionalProperties": False,
    }
    count = {"type": "integer", "minimum": 0}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/lock-check.schema.json",
        "title": "infc lock --check",
        "description": "What `infc lock --check --format json` prints; stale, missing and orphan fail (exit 4).",
        "type": "object",
        "properties": {
            "format_version": {"const": FORMAT_VERSION},
            "locks": {"type": "array", "items": lock},
            "summary": {
                "type": "object",
                "properties": dict.fromkeys(STATUSES, count),
                "required": list(STATUSES),
                "additionalProperties": False,
            },
            "diagnostics": properties["diagnostics"],
        },
        "required": ["format_version", "locks", "summary", "diagnostics"],
        "additionalProperties": False,
    }
