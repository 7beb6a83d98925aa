"""The catalogue of diagnostics as `infc explain` prints it."""

import dataclasses
import json
import re
from collections.abc import Sequence

from infc.diag.area import Area
from infc.diag.catalogue import AREAS, area_of
from infc.diag.kind import DiagnosticKind

FORMAT_VERSION = "1.0"


def explanation_text(kind: DiagnosticKind) -> str:
    """One page: what is wrong, why it matters, an example, the fix, and which commands print it."""
    example = "\n".join(f"    {line}" for line in kind.example.splitlines())
    commands = ", ".join(f"infc {command}" for command in area_of(kind).commands)
    parts = (f"{kind.id}: {kind.title}", kind.what, f"Why: {kind.why}", f"Example:\n\n{example}", f"Fix: {kind.fix}")
    return "\n\n".join((*parts, f"Printed by: {commands}"))


def explanation_pages() -> dict[str, str]:
    """The same of every kind as Markdown, and an index by area: file name -> text."""
    pages = {f"{kind.id}.md": _page(kind, area) for area in AREAS for kind in area.kinds}
    return {"README.md": _index(), **pages}


def listing_text(kinds: Sequence[DiagnosticKind]) -> str:
    """One line for each id."""
    width = max((len(kind.id) for kind in kinds), default=0)
    return "\n".join(f"{kind.id:<{width}}  {kind.title}" for kind in kinds)


def explanations_json(kinds: Sequence[DiagnosticKind]) -> str:
    """The kinds as JSON text; fits `explanations_schema()`."""
    objects = [{**dataclasses.asdict(kind), "commands": list(area_of(kind).commands)} for kind in kinds]
    return json.dumps({"format_version": FORMAT_VERSION, "diagnostics": objects}, indent=2, ensure_ascii=False)


def explanations_schema() -> dict[str, object]:
    """The JSON Schema of `infc explain --format json`."""
    names = [field.name for field in dataclasses.fields(DiagnosticKind)]
    kind = {
        "type": "object",
        "properties": {
            **{name: {"type": "string", "minLength": 1} for name in names},
            "commands": {"description": "Commands that print it.", "type": "array", "items": {"type": "string"}},
        },
        "required": [*names, "commands"],
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


def _page(kind: DiagnosticKind, area: Area) -> str:
    commands = ", ".join(f"`infc {command}`" for command in area.commands)
    return (
        f"# {kind.id}\n\n"
        f"**{_prose(kind.title)}.** Printed by {commands}; one of the diagnostics of "
        f"[{area.title.lower() if area.title != 'vLLM' else area.title}](README.md#{_anchor(area.title)}).\n\n"
        f"## What is wrong\n\n{_prose(kind.what)}\n\n"
        f"## Why it matters\n\n{_prose(kind.why)}\n\n"
        f"## Example\n\n```text\n{kind.example}\n```\n\n"
        f"## Fix\n\n{_prose(kind.fix)}\n\n"
        f"`infc explain {kind.id}` prints the same.\n"
    )


def _index() -> str:
    parts = [
        "# Diagnostics\n\nEverything that infc can complain about, by area. Ids are stable: they can be searched for, "
        "and filtered by in SARIF and code quality reports. `infc explain ID` prints each page; this folder is written "
        "by `infc explain --write docs/diagnostics`.\n"
    ]
    for area in AREAS:
        rows = "".join(f"| [{kind.id}]({kind.id}.md) | {_prose(kind.title)} |\n" for kind in area.kinds)
        parts.append(f"\n## {area.title}\n\n| id | what it is about |\n|---|---|\n{rows}")
    return "".join(parts)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _prose(text: str) -> str:
    r"""A sentence of the catalogue as Markdown: what stands between backticks is code, the rest means nothing more.

    >>> _prose("every *.infc.yaml below, but `a*b`")
    'every \\*.infc.yaml below, but `a*b`'
    """
    pieces = text.split("`")
    plain = [re.sub(r"([\\*_|\[\]])", r"\\\1", piece).replace("<", "&lt;") for piece in pieces[::2]]
    return "`".join(plain[i // 2] if i % 2 == 0 else piece for i, piece in enumerate(pieces))
