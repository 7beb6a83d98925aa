"""Plans as one self-contained HTML page with pictures: no script, no font, no request to anywhere."""

import json
from collections.abc import Mapping, Sequence

from infc.ir.change import ChangeSet, DeploymentChange
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.ir.plan import Plan
from infc.plan.words import counted
from infc.report.page import render_page
from infc.report.plan_json import entry_text
from infc.report.plan_section import plan_section
from infc.report.plan_summary import (
    ALL_IN_FULL,
    MOST_IN_FULL,
    Address,
    Comparison,
    Row,
    row_of_document,
    row_of_section,
    summary_of,
)
from infc.report.planned import PlannedEntry


def render_plan_html(
    entries: Sequence[PlannedEntry],
    *,
    others: Sequence[Row] = (),
    sets: Sequence[ChangeSet] = (),
    measurements: Mapping[Address, Measurement | LlmMeasurement] | None = None,
) -> str:
    """The page for all decisions, the summary first; same arguments, same bytes.

    Up to a dozen decisions are shown in full, of more only those that changed, cannot be met or are beyond a policy.
    Each in full takes a second or so, because its alternatives are sized on short simulations.

    Args:
        entries: the decisions at hand.
        others: rows of decisions that are not at hand, for the summary only.
        sets: what differs from a base; without them the entries' own changes against the lock are shown.
        measurements: load tests of these decisions, by name and target of the entry.
    """
    compared = Comparison(sets)
    shown, folded = _in_full(entries, compared, len(entries) + len(others))
    changes = [_change_of(entry, compared) for entry in shown]
    sections = [
        plan_section(
            entry,
            f"d{index}",
            measurement=(measurements or {}).get((entry.name, entry.target)),
            change=change,
            base=compared.base,
        )
        for index, (entry, change) in enumerate(zip(shown, changes, strict=True))
    ]
    rows = [
        row_of_section(section, None if change is None else (change.name, change.target))
        for section, change in zip(sections, changes, strict=True)
    ]
    known = {row.address for row in (*rows, *folded, *others)}
    table = [*folded, *others, *compared.others(known)]
    count = len(rows) + len(table)
    is_single = count == 1 and bool(sections)
    summary = None if is_single else summary_of(rows, table, compared, is_whole=not folded and not others)
    planned = sum(row.verdict != "removed" for row in (*rows, *table))
    title = f"Plan of {sections[0].title}" if is_single else f"Plan of {counted(planned, 'deployment')}"
    return render_page("plan.html.j2", sections=sections, title=title, summary=summary)


def _in_full(entries: Sequence[PlannedEntry], compared: Comparison, count: int) -> tuple[list[PlannedEntry], list[Row]]:
    """The entries that are shown in full, and the rows of the others."""
    if count <= ALL_IN_FULL:
        return list(entries), []
    shown: list[PlannedEntry] = []
    folded: list[Row] = []
    for entry in entries:
        row = row_of_document(json.loads(entry_text(entry)), compared)
        if row.is_asking and len(shown) < MOST_IN_FULL:
            shown.append(entry)
        else:
            folded.append(row)
    return shown, folded


def _change_of(entry: PlannedEntry, compared: Comparison) -> DeploymentChange | None:
    device = entry.decision.candidate.target if isinstance(entry.decision, Plan) else None
    return compared.of(entry.name, entry.target, device)
