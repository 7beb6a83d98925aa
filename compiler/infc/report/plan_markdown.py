"""A plan as Markdown: a compact table for a pull request."""

from collections.abc import Sequence

from infc.ir.plan import Infeasible, Plan
from infc.plan.words import duration_text, money_text
from infc.report.planned import PlannedEntry


def render_plan_markdown(entries: Sequence[PlannedEntry]) -> str:
    """One row per decision, then why, then the relaxations of what is infeasible."""
    lines = [
        "| spec | decision | replicas | predicted (90% interval) of SLO | cost | basis |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(entry) for entry in entries]
    for entry in entries:
        lines += _details(entry)
    return "\n".join(lines)


def _row(entry: PlannedEntry) -> str:
    name = _escaped(entry.name + (f" for {entry.target}" if entry.target else ""))
    match entry.decision:
        case Plan() as plan:
            cost = plan.estimate.cost
            money = "-" if cost is None else f"{money_text(cost.usd_per_hour)}, ${cost.usd_per_month:,.0f}/month"
            return (
                f"| {name} | `{plan.candidate.label}` | {plan.candidate.replicas} | {_latency(entry, plan)} |"
                f" {money} | {plan.estimate.basis.value} |"
            )
        case Infeasible() as infeasible:
            return f"| {name} | **infeasible**: {_escaped(', '.join(infeasible.binding))} | - | - | - | - |"
        case None:
            first = entry.diagnostics[0].message if entry.diagnostics else "invalid"
            return f"| {name} | **invalid**: {_escaped(first)} | - | - | - | - |"


def _latency(entry: PlannedEntry, plan: Plan) -> str:
    parts = []
    for target in entry.problem.latency if entry.problem is not None else ():
        value = plan.estimate.e2e_s[target.label]
        interval = f"{duration_text(value.low)} .. {duration_text(value.high)}"
        parts.append(f"{target.label} {duration_text(value.value)} ({interval}) of {duration_text(target.limit_s)}")
    return "<br>".join(parts)


def _details(entry: PlannedEntry) -> list[str]:
    title = _escaped(entry.name + (f" for {entry.target}" if entry.target else ""))
    match entry.decision:
        case Plan() as plan:
            return ["", f"**{title}**", "", *(f"- {_escaped(s)}" for s in (*plan.reasons, *plan.comments))]
        case Infeasible() as infeasible:
            rows = [
                f"- `{r.path}` from {_escaped(r.current)} to {_escaped(r.needed)} (`{r.candidate}`)"
                for r in infeasible.relaxations
            ]
            return ["", f"**{title}**: any one of these changes makes it feasible", "", *rows] if rows else []
        case None:
            return []


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
