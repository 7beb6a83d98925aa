"""Diagnostics as JSON: one object, stable keys, validated by `schemas/diagnostics.schema.json`."""

import json
from collections.abc import Iterable

from infc.diag import Diagnostic, Severity, Span

FORMAT_VERSION = "1.0"


def diagnostics_json(diagnostics: Iterable[Diagnostic], *, files: int | None = None) -> str:
    """The report as JSON text. `files` is the number of files that were checked, when that is known."""
    found = tuple(diagnostics)
    summary: dict[str, object] = {
        "errors": sum(d.severity is Severity.ERROR for d in found),
        "warnings": sum(d.severity is Severity.WARNING for d in found),
        "notes": sum(d.severity is Severity.NOTE for d in found),
    }
    if files is not None:
        summary["files"] = files
    report = {
        "format_version": FORMAT_VERSION,
        "diagnostics": [diagnostic_object(d) for d in found],
        "summary": summary,
    }
    return json.dumps(report, indent=2, ensure_ascii=False)


def diagnostic_object(diagnostic: Diagnostic) -> dict[str, object]:
    """One diagnostic as a JSON object; absent parts are null or empty."""
    return {
        "id": diagnostic.id,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "span": _span_object(diagnostic.span) if diagnostic.span else None,
        "label": diagnostic.label,
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
    }


def diagnostics_schema() -> dict[str, object]:
    """The JSON Schema of the report."""
    position = {"type": "integer", "minimum": 1}
    span = {
        "type": "object",
        "description": "Lines and columns count from 1; the end is exclusive.",
        "properties": {
            "path": {"type": "string"},
            "line": position,
            "column": position,
            "end_line": position,
            "end_column": position,
        },
        "required": ["path", "line", "column", "end_line", "end_column"],
        "additionalProperties": False,
    }
    count = {"type": "integer", "minimum": 0}
    diagnostic = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "description": "See `infc explain ID`."},
            "severity": {"enum": [severity.value for severity in Severity]},
            "message": {"type": "string"},
            "span": {"anyOf": [span, {"type": "null"}]},
            "label": {"type": "string", "description": "What stands beside the caret."},
            "notes": {"type": "array", "items": {"type": "string"}},
            "help": {"type": ["string", "null"], "description": "How to fix it."},
        },
        "required": ["id", "severity", "message", "span", "label", "notes", "help"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/diagnostics.schema.json",
        "title": "infc diagnostics",
        "description": "What `infc check --format json` prints.",
        "type": "object",
        "properties": {
            "format_version": {"const": FORMAT_VERSION},
            "diagnostics": {"type": "array", "items": diagnostic},
            "summary": {
                "type": "object",
                "properties": {"errors": count, "warnings": count, "notes": count, "files": count},
                "required": ["errors", "warnings", "notes"],
                "additionalProperties": False,
            },
        },
        "required": ["format_version", "diagnostics", "summary"],
        "additionalProperties": False,
    }


def _span_object(span: Span) -> dict[str, object]:
    return {
        "path": span.path,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
