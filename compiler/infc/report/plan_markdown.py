"""A plan as Markdown: a compact table for a pull request."""

from collections.abc import Sequence

from infc.ir.plan import Infeasible, Plan
from infc.plan.capacity_words import capacity_sentences
from infc.plan.words import duration_text, figure_text, money_text, month_text
from infc.report.markdown_text import code, inline
from infc.report.plan_models import model_rows
from infc.report.plan_tokens import latency_rows
from infc.report.planned import PlannedEntry
from infc.report.power_modes import mode_words
from infc.report.review import NOTHING


def render_plan_markdown(entries: Sequence[PlannedEntry]) -> str:
    """One row per decision, then why, then the relaxations of what is infeasible."""
    return markdown_document(
        [markdown_row(entry) for entry in entries], [line for entry in entries for line in markdown_details(entry)]
    )


def markdown_document(rows: Sequence[str], details: Sequence[str]) -> str:
    """The report of decisions that are rendered already."""
    head = "| spec | decision | replicas | predicted (90% interval) of SLO | cost | basis |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows, *details])


def markdown_row(entry: PlannedEntry) -> str:
    """One decision as a row of the table."""
    name = inline(entry.name + (f" for {entry.target}" if entry.target else ""))
    match entry.decision:
        case Plan() as plan:
            cost = plan.estimate.cost
            money = "-"
            if cost is not None:
                money = f"{money_text(cost.usd_per_hour)}, {month_text(cost.usd_per_month)}"
                money += f"<br>${figure_text(cost.usd_per_million_requests)} per million requests"
            return (
                f"| {name} | {code(plan.candidate.label)} | {plan.candidate.replicas} | {_latency(entry, plan)} |"
                f" {money} | {plan.estimate.basis.value} |"
            )
        case Infeasible() as infeasible:
            return f"| {name} | **infeasible**: {inline(', '.join(infeasible.binding))} | - | - | - | - |"
        case None:
            first = entry.diagnostics[0].message if entry.diagnostics else "invalid"
            return f"| {name} | **invalid**: {inline(first)} | - | - | - | - |"


def _latency(entry: PlannedEntry, plan: Plan) -> str:
    parts = []
    rows = latency_rows(entry.problem, plan.estimate, only_promised=True) if entry.problem is not None else ()
    for row in rows:
        value = row.value
        interval = f"{duration_text(value.low)} .. {duration_text(value.high)}"
        limit = "" if row.limit_s is None else f" of {duration_text(row.limit_s)}"
        parts.append(f"{row.label} {duration_text(value.value)} ({interval}){limit}")
    return "<br>".join(parts)


def markdown_details(entry: PlannedEntry) -> list[str]:
    """The lines below the table that are about this decision."""
    title = inline(entry.name + (f" for {entry.target}" if entry.target else ""))
    match entry.decision:
        case Plan() as plan:
            capacity = () if entry.problem is None else capacity_sentences(entry.problem, plan)
            said = [f"- {inline(s)}" for s in (*plan.reasons, *capacity, *plan.comments)]
            return ["", f"**{title}**", "", *_models(plan), *said, *_review(entry)]
        case Infeasible() as infeasible:
            rows = [
                f"- {code(r.path)} from {inline(r.current)} to {inline(r.needed)} ({code(r.candidate)})"
                for r in infeasible.relaxations
            ]
            modes = [f"- power mode {inline(mode_words(mode))}" for mode in infeasible.power_modes]
            if not rows:
                return (
                    ["", f"**{title}**: no change of a single constraint makes it feasible", "", *modes]
                    if modes
                    else []
                )
            return ["", f"**{title}**: any one of these changes makes it feasible", "", *rows, *modes]
        case None:
            return []


def _models(plan: Plan) -> list[str]:
    """The models that the spec names as a table; nothing where it names one."""
    if not plan.models:
        return []
    head, *rows = model_rows(plan.models)
    lines = [f"| {' | '.join(inline(cell) for cell in cells)} |" for cells in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:], ""]


def _review(entry: PlannedEntry) -> Sequence[str]:
    if entry.review == NOTHING:
        return ()
    from infc.report.plan_review import review_markdown

    return tuple(review_markdown(entry.review))
