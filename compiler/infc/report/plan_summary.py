"""Many decisions at a glance: one row each, what asks for attention first, and what they cost together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from infc.ir.change import ChangeSet, DeploymentChange
from infc.plan.words import counted, duration_text, month_text
from infc.report.change_words import signed_month
from infc.report.charts.drawing import DataTable, Picture
from infc.report.json_values import Json
from infc.report.pictures.money import cost_picture
from infc.report.plan_section import Section

ALL_IN_FULL = 12
"""A page of at most so many decisions shows all of them in full."""
MOST_IN_FULL = 24
"""No page shows more in full: it stays under some megabytes, and nobody reads more."""
_MOVERS = 8

Address: TypeAlias = tuple[str, str | None]
"""Name and target."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One decision. `anchor` is empty where it is not shown in full; `is_asking` for a reviewer's attention.

    `address` is the name and target of the change that it stands for, None where nothing is compared.
    """

    anchor: str
    title: str
    path: str
    state: str
    verdict: str
    action: str
    decision: str
    predicted: str
    cost: str
    usd_per_month: float | None
    basis: str
    is_asking: bool
    address: Address | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The head of a page of many decisions: `rows` are open, `others` folded."""

    sentence: str
    detail: str
    rows: tuple[Row, ...]
    others: tuple[Row, ...]
    cost: Picture | None


def row_of_section(section: Section, address: Address | None) -> Row:
    """The row of a decision that the page shows in full."""
    return Row(
        anchor=section.anchor,
        title=section.title,
        path=section.path,
        state=section.state,
        verdict=section.verdict,
        action=section.action,
        decision=section.headline or _in_the_way(section.binding),
        predicted=section.judged,
        cost=section.cost,
        usd_per_month=section.usd_per_month,
        basis=section.basis,
        is_asking=True,
        address=address,
    )


class Comparison:
    """The changes of some sets, by the decision that they are of."""

    def __init__(self, sets: Sequence[ChangeSet]) -> None:
        self.sets = tuple(sets)
        self._changes = {(change.name, change.target): change for each in sets for change in each.changes}

    @property
    def base(self) -> str:
        """What is compared with."""
        return self.sets[0].base if self.sets else "infc.lock"

    def of(self, name: str, target: str | None, device: str | None) -> DeploymentChange | None:
        """The change of a decision: the lock knows a free choice (`target` None) by the device that it chose."""
        found = self._changes.get((name, device)) if device is not None else None
        return found or self._changes.get((name, target))

    def others(self, known: Collection[Address | None]) -> tuple[Row, ...]:
        """Rows of deployments that are not among the known ones: those that were not planned, and removed ones."""
        return tuple(row_of_change(change) for address, change in self._changes.items() if address not in known)


def row_of_change(change: DeploymentChange) -> Row:
    """The row of a deployment of which only the change is known."""
    usd = change.usd_per_month_after
    return Row(
        anchor="",
        title=change.name + (f" for {change.target}" if change.target else ""),
        path=change.spec,
        state={"feasible": "ok", "infeasible": "missed", "invalid": "invalid"}.get(change.status, "plain"),
        verdict=change.status,
        action="" if change.status == change.action else change.action,
        decision="",
        predicted="",
        cost="" if usd is None else month_text(usd),
        usd_per_month=usd,
        basis="",
        is_asking=change.action != "unchanged" or change.status not in ("feasible", "removed"),
        address=(change.name, change.target),
    )


def row_of_document(document: Mapping[str, Json], compared: Comparison) -> Row:
    """The row of a decision as `infc plan --format json` has it."""
    target, status = document.get("target"), str(document.get("status"))
    change = compared.of(str(document.get("name")), None if target is None else str(target), _device(document))
    changed = change.action if change is not None else "changed" if document.get("changes") else ""
    usd = _usd(document)
    state = {"feasible": "ok", "infeasible": "missed"}.get(status, "invalid")
    return Row(
        anchor="",
        title=str(document.get("name")) + (f" for {target}" if target else ""),
        path=str(document.get("path")),
        state=state,
        verdict=status,
        action=changed,
        decision=_decision(document),
        predicted=_predicted(document),
        cost="" if usd is None else month_text(usd),
        usd_per_month=usd,
        basis=str(_mapping(document.get("estimate")).get("basis", "")),
        is_asking=state != "ok" or changed not in ("", "unchanged") or bool(document.get("policy")),
        address=None if change is None else (change.name, change.target),
    )


def _device(document: Mapping[str, Json]) -> str | None:
    """The device of a decision as the lock names it."""
    decision = _mapping(document.get("decision"))
    if not decision:
        return None
    mode = decision.get("power_mode")
    return f"{decision.get('hardware')}" + (f"@{mode}" if mode else "")


def summary_of(rows: Sequence[Row], others: Sequence[Row], compared: Comparison, *, is_whole: bool) -> Summary:
    """The summary of the decisions in full (`rows`) and of the `others`; `is_whole`: everything is shown in full."""
    every = [*rows, *others]
    ranked = sorted(rows, key=lambda row: (_URGENCY.get(row.state, 0), row.title))
    asking = [row for row in others if row.is_asking]
    quiet = [row for row in others if not row.is_asking]
    return Summary(
        sentence=_sentence(every, compared.sets),
        detail="" if is_whole else _detail(len(rows), len(every), len(asking)),
        rows=(*ranked, *asking),
        others=tuple(quiet),
        cost=_cost(compared.sets),
    )


_URGENCY = {"invalid": -3, "missed": -2, "uncertain": -1}


def _sentence(rows: Sequence[Row], sets: Sequence[ChangeSet]) -> str:
    rows = [row for row in rows if row.verdict != "removed"]
    states = [row.state for row in rows]
    feasible = states.count("ok") + states.count("uncertain")
    parts = [f"{feasible} of {counted(len(rows), 'deployment')} {'has' if feasible == 1 else 'have'} a feasible plan"]
    parts += [f"{states.count('missed')} infeasible"] if "missed" in states else []
    parts += [f"{states.count('invalid')} invalid"] if "invalid" in states else []
    priced = [row.usd_per_month for row in rows if row.usd_per_month is not None]
    if priced:
        parts.append(f"{month_text(sum(priced))} in all")
    said = "; ".join(parts) + "."
    for each in sets:
        counts = each.counts
        listed = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
        said += f" Against {each.base}: {listed or 'nothing to compare'}."
    return said


def _detail(full: int, every: int, asking: int) -> str:
    said = f"{full} of {every} are shown in full: those that changed, cannot be met, or are beyond a policy."
    if asking:
        said += f" {asking} more of these are in the table only."
    return f"{said} `infc plan SPEC --format html` shows any other one."


def _cost(sets: Sequence[ChangeSet]) -> Picture | None:
    """Dollars of a month of all deployments before and after, with those that moved most in the table."""
    changes = [change for each in sets for change in each.changes]
    priced = [c for c in changes if c.usd_per_month_before is not None or c.usd_per_month_after is not None]
    before = sum(change.usd_per_month_before or 0.0 for change in priced)
    after = sum(change.usd_per_month_after or 0.0 for change in priced)
    movers = sorted((c for c in priced if abs(_moved(c)) >= 0.005), key=lambda c: (-abs(_moved(c)), c.label))
    if not movers:
        return None
    picture = cost_picture(
        [("before", before), ("after", after)],
        title="Cost of all deployments before and after",
        sentence=f"{signed_month(after - before)}; {counted(len(movers), 'deployment')} moved it.",
    )
    rows = [("all", _money(before), _money(after), signed_month(after - before))]
    rows += [
        (c.label, _money(c.usd_per_month_before), _money(c.usd_per_month_after), signed_month(_moved(c)))
        for c in movers[:_MOVERS]
    ]
    table = DataTable(columns=("deployment", "before", "after", "difference"), rows=tuple(rows))
    return Picture(title=picture.title, sentence=picture.sentence, drawing=picture.drawing, table=table)


def _moved(change: DeploymentChange) -> float:
    return (change.usd_per_month_after or 0.0) - (change.usd_per_month_before or 0.0)


def _money(usd_per_month: float | None) -> str:
    return "none" if usd_per_month is None else month_text(usd_per_month)


def _in_the_way(binding: Sequence[str]) -> str:
    return f"in the way: {', '.join(binding)}" if binding else ""


def _decision(document: Mapping[str, Json]) -> str:
    decision = _mapping(document.get("decision"))
    if not decision:
        binding = document.get("binding")
        return _in_the_way([str(each) for each in binding]) if isinstance(binding, list) else ""
    return f"{decision.get('replicas')} x {decision.get('hardware')}, {decision.get('precision')}"


def _predicted(document: Mapping[str, Json]) -> str:
    estimate = _mapping(document.get("estimate"))
    parts: list[str] = []
    metrics = (("TTFT ", "ttft_ms"), ("TPOT ", "tpot_ms")) if estimate.get("ttft_ms") else (("", "latency_ms"),)
    for prefix, key in metrics:
        value = _mapping(_mapping(estimate.get(key)).get("p99")).get("value")
        if isinstance(value, int | float):
            parts.append(f"{prefix}p99 {duration_text(value / 1e3)}")
    return ", ".join(parts)


def _usd(document: Mapping[str, Json]) -> float | None:
    value = _mapping(_mapping(document.get("estimate")).get("cost")).get("usd_per_month")
    return float(value) if isinstance(value, int | float) else None


def _mapping(value: object) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}
