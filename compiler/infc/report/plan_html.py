"""Plans as one self-contained HTML page with pictures: no script, no font, no request to anywhere."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from infc.ir.change import ChangeSet, DeploymentChange
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.report.page import render_page
from infc.report.plan_json import entry_text
from infc.report.plan_section import plan_section
from infc.report.plan_summary import ALL_IN_FULL, MOST_IN_FULL, Row, row_of_document, row_of_section, summary_of
from infc.report.planned import PlannedEntry

Address: TypeAlias = tuple[str, str | None]
"""Name and target of a decision."""


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
        measurements: load tests of these decisions.
    """
    changes = _changes(sets)
    shown, folded = _in_full(entries, changes, len(entries) + len(others))
    sections = [
        plan_section(
            entry,
            f"d{index}",
            measurement=(measurements or {}).get((entry.name, entry.target)),
            change=_change_of(entry, changes),
            base=sets[0].base if sets else "infc.lock",
        )
        for index, entry in enumerate(shown)
    ]
    rows = [row_of_section(section) for section in sections]
    summary = summary_of(rows, [*folded, *others], sets, is_whole=len(shown) == len(entries) and not others)
    is_single = len(sections) == 1 and not folded and not others
    title = f"Plan of {sections[0].title}" if is_single else f"Plan of {len(entries) + len(others)} deployments"
    return render_page("plan.html.j2", sections=sections, title=title, summary=None if is_single else summary)


def is_shown_in_full(row: Row, count: int) -> bool:
    """Whether a page of `count` decisions shows this one in full, as far as there is room."""
    return count <= ALL_IN_FULL or row.is_asking


def _in_full(
    entries: Sequence[PlannedEntry], changes: Mapping[Address, DeploymentChange], count: int
) -> tuple[list[PlannedEntry], list[Row]]:
    """The entries that are shown in full, and the rows of the others."""
    if count <= ALL_IN_FULL:
        return list(entries), []
    shown: list[PlannedEntry] = []
    folded: list[Row] = []
    for entry in entries:
        row = row_of_document(json.loads(entry_text(entry)), _change_of(entry, changes))
        if len(shown) < MOST_IN_FULL and is_shown_in_full(row, count):
            shown.append(entry)
        else:
            folded.append(row)
    return shown, folded


def _changes(sets: Sequence[ChangeSet]) -> dict[Address, DeploymentChange]:
    return {(change.name, change.target): change for each in sets for change in each.changes}


def _change_of(entry: PlannedEntry, changes: Mapping[Address, DeploymentChange]) -> DeploymentChange | None:
    """The change of an entry, whose free choice the lock knows by the device that it chose."""
    from infc.ir.plan import Plan

    if isinstance(entry.decision, Plan):
        found = changes.get((entry.name, entry.decision.candidate.target))
        if found is not None:
            return found
    return changes.get((entry.name, entry.target))
