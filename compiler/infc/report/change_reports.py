"""Every report of a change by its name."""

import json
from collections.abc import Sequence
from typing import Literal, TypeAlias, assert_never

from infc.ir.change import ChangeSet

ChangeFormat: TypeAlias = Literal["text", "json", "markdown", "sarif", "github", "codequality"]
DEFAULT_MARKER = "plan"
FORMAT_VERSION = "1.0"


def render_changes(
    sets: Sequence[ChangeSet],
    format: ChangeFormat,
    *,
    color: bool = False,
    marker: str = DEFAULT_MARKER,
    details_url: str | None = None,
) -> str:
    """The report, without a final newline. `marker` and `details_url` are those of the Markdown comment."""
    match format:
        case "markdown":
            from infc.report.change_markdown import render_comment

            return render_comment(sets, marker=marker, details_url=details_url).rstrip("\n")
        case "json":
            from infc.report.change_json import change_set_to_json

            report = {"format_version": FORMAT_VERSION, "sets": [change_set_to_json(each) for each in sets]}
            return json.dumps(report, indent=2, ensure_ascii=False)
        case "text":
            from infc.report.change_text import render_changes_text

            return "\n\n".join(render_changes_text(each, color=color) for each in sets)
        case "sarif" | "github" | "codequality":
            return _annotated(sets, format)
        case _:
            assert_never(format)


def report_schema() -> dict[str, object]:
    """The JSON Schema of `infc report --format json`: the comparison of a saved plan, without its decisions."""
    from infc.ir.json_schema import object_schema
    from infc.report.change_schema import change_schema

    text = {"type": "string"}
    changes = {"type": "array", "items": change_schema()}
    one = object_schema({"base": text, "digest": text, "changes": changes})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/report.schema.json",
        "title": "infc report",
        "description": "What a saved plan changes, as `infc report --format json` prints it.",
        **object_schema({"format_version": {"const": FORMAT_VERSION}, "sets": {"type": "array", "items": one}}),
    }


def _annotated(sets: Sequence[ChangeSet], format: Literal["sarif", "github", "codequality"]) -> str:
    from infc.report.change_annotations import annotations

    found = annotations(sets)
    match format:
        case "sarif":
            from infc.report.diagnostics_sarif import diagnostics_sarif

            return diagnostics_sarif(found)
        case "github":
            from infc.report.diagnostics_github import diagnostics_github, first_of_each_severity

            return diagnostics_github(first_of_each_severity(found))
        case "codequality":
            from infc.report.diagnostics_codequality import diagnostics_codequality

            return diagnostics_codequality(found)
