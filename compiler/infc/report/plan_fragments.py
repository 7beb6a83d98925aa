"""The reports of many plans, put together from those of each spec: what a cache keeps and a worker hands back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infc.report.planned import PlannedEntry

if TYPE_CHECKING:
    from infc.report.plan_json import ChangeDocument


@dataclass(frozen=True, kw_only=True)
class PlanFragments:
    """The decisions of one spec as parts of every report: `statuses` and `json` have one item for each decision."""

    statuses: tuple[str, ...]
    text: str
    colored: str
    json: tuple[str, ...]
    markdown_rows: tuple[str, ...]
    markdown_details: tuple[str, ...]


def fragments_of(entries: Sequence[PlannedEntry]) -> PlanFragments:
    """The entries of one spec, rendered."""
    from infc.report.plan_json import entry_text
    from infc.report.plan_markdown import markdown_details, markdown_row
    from infc.report.plan_text import render_plan_text

    return PlanFragments(
        statuses=tuple(entry.status for entry in entries),
        text=render_plan_text(entries, color=False),
        colored=render_plan_text(entries, color=True),
        json=tuple(entry_text(entry) for entry in entries),
        markdown_rows=tuple(markdown_row(entry) for entry in entries),
        markdown_details=tuple(line for entry in entries for line in markdown_details(entry)),
    )


def joined_text(fragments: Sequence[PlanFragments], *, color: bool) -> str:
    """What `render_plan_text` says of all entries."""
    return "\n\n".join(text for each in fragments if (text := each.colored if color else each.text))


def joined_json(fragments: Sequence[PlanFragments], changes: "ChangeDocument | None" = None) -> str:
    """What `render_plan_json` says of all entries, with what they are compared with."""
    from infc.report.plan_json import document_text

    texts = [text for each in fragments for text in each.json]
    return document_text(texts, [status for each in fragments for status in each.statuses], changes)


def joined_markdown(fragments: Sequence[PlanFragments]) -> str:
    """What `render_plan_markdown` says of all entries."""
    from infc.report.plan_markdown import markdown_document

    rows = [row for each in fragments for row in each.markdown_rows]
    return markdown_document(rows, [line for each in fragments for line in each.markdown_details])
