"""The catalogue of diagnostics as `infc explain` prints it."""

import dataclasses
import json
from collections.abc import Sequence

from infc.diag.kind import DiagnosticKind

FORMAT_VERSION = "1.0"


def explanation_text(kind: DiagnosticKind) -> str:
    """One page: what is wrong, why it matters, an example, the fix."""
    example = "\n".join(f"    {line}" for line in kind.example.splitlines())
    return f"{kind.id}: {kind.title}\n\n{kind.what}\n\nWhy: {kind.why}\n\nExample:\n\n{example}\n\nFix: {kind.fix}"


def listing_text(kinds: Sequence[DiagnosticKind]) -> str:
    """One line for each id."""
    width = max((len(kind.id) for kind in kinds), default=0)
    return "\n".join(f"{kind.id:<{width}}  {kind.title}" for kind in kinds)


def explanations_json(kinds: Sequence[DiagnosticKind]) -> str:
    """The kinds as JSON text; fits `explanations_schema()`."""
    objects = [dataclasses.asdict(kind) for kind in kinds]
    return json.dumps({"format_version": FORMAT_VERSION, "diagnostics": objects}, indent=2, ensure_ascii=False)


def explanations_schema() -> dict[str, object]:
    """The JSON Schema of `infc explain --format json`."""
    names = [field.name for field in dataclasses.fields(DiagnosticKind)]
    kind = {
        "type": "object",
        "properties": {name: {"type": "string", "minLength": 1} for name in names},
        "required": names,
        "additionalProperties": False,
    }
    return {
        "title": "infc explain",
        "description": "What `infc explain --format json` prints: diagnostic ids, what they mean and the fix.",
        "type": "object",
        "properties": {"format_version": {"const": FORMAT_VERSION}, "diagnostics": {"type": "array", "items": kind}},
        "required": ["format_version", "diagnostics"],
        "additionalProperties": False,
    }
