"""Plans as one self-contained HTML page with pictures: no script, no font, no request to anywhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from infc.ir.interval import Interval
from infc.ir.plan import Infeasible, Plan, Rejection, Relaxation
from infc.ir.problem import LatencyTarget, LlmProblem, Problem
from infc.plan.frontier import frontier
from infc.plan.words import duration_text, money_text, rate_text
from infc.report.charts.frontier import FrontierChart, frontier_chart
from infc.report.charts.interval_bars import IntervalBars, IntervalRow, interval_bars, state_of
from infc.report.plan_text import headline
from infc.report.planned import PlannedEntry

if TYPE_CHECKING:
    from jinja2 import Template

GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A short statement with its name."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RejectionGroup:
    """Candidates that the same constraint ruled out."""

    constraint: str
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One decision as the page shows it. `state` is ok, uncertain, missed or invalid."""

    anchor: str
    title: str
    path: str
    state: str
    verdict: str
    headline: str
    candidate: str
    judged: str
    cost: str
    basis: str
    facts: tuple[Fact, ...]
    bars: IntervalBars | None
    frontier: FrontierChart | None
    reasons: tuple[str, ...]
    binding: tuple[str, ...]
    relaxations: tuple[Relaxation, ...]
    rejected: tuple[RejectionGroup, ...]
    changes: tuple[tuple[str, str, str], ...]
    diagnostics: tuple[str, ...]


def render_plan_html(entries: Sequence[PlannedEntry]) -> str:
    """The page for all decisions, the summary first.

    Sizes what was not chosen on short simulations, for the picture of cost against latency: a second or so a spec.
    """
    sections = [_section(entry, index) for index, entry in enumerate(entries)]
    return _template().render(sections=sections, title=_title(sections))


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("infc.report", "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("plan.html.j2")


def _title(sections: Sequence[Section]) -> str:
    return f"Plan of {sections[0].title}" if len(sections) == 1 else f"Plan of {len(sections)} deployments"


def _section(entry: PlannedEntry, index: int) -> Section:
    title = entry.name + (f" for {entry.target}" if entry.target else "")
    match entry.decision:
        case Plan() as plan:
            return _planned(entry, plan, title, f"d{index}")
        case Infeasible() as infeasible:
            state, verdict = "missed", "infeasible"
            binding, rejections, relaxations = infeasible.binding, infeasible.rejections, infeasible.relaxations
        case None:
            state, verdict = "invalid", "invalid"
            binding, rejections, relaxations = (), (), ()
    return Section(
        anchor=f"d{index}",
        title=title,
        path=entry.path,
        state=state,
        verdict=verdict,
        headline="",
        candidate="",
        judged="",
        cost="",
        basis="",
        facts=(),
        bars=None,
        frontier=_chart(entry),
        reasons=(),
        binding=binding,
        relaxations=relaxations,
        rejected=_grouped(rejections),
        changes=_changes(entry),
        diagnostics=_diagnostics(entry),
    )


def _planned(entry: PlannedEntry, plan: Plan, title: str, anchor: str) -> Section:
    estimate = plan.estimate
    rows = tuple(_rows(entry, plan))
    limited = [row for row in rows if row.limit is not None]
    worst = max(limited, key=lambda row: row.value.value / (row.limit or 1.0))
    states = {state_of(row.value, row.limit) for row in limited}
    state = next(each for each in ("missed", "uncertain", "ok") if each in states)
    cost = estimate.cost
    return Section(
        anchor=anchor,
        title=title,
        path=entry.path,
        state=state,
        verdict={"ok": "feasible", "uncertain": "feasible, not certain", "missed": "missed"}[state],
        headline=headline(plan.candidate),
        candidate=plan.candidate.label,
        judged=f"{worst.label} {duration_text(worst.value.value)} of {duration_text(worst.limit or 0.0)}",
        cost="no price known" if cost is None else f"${cost.usd_per_month:,.0f}/month",
        basis=estimate.basis.value,
        facts=tuple(_facts(entry, plan)),
        bars=interval_bars(rows, duration_text),
        frontier=_chart(entry),
        reasons=(*plan.reasons, *plan.comments),
        binding=(),
        relaxations=(),
        rejected=_grouped(plan.rejections),
        changes=_changes(entry),
        diagnostics=_diagnostics(entry),
    )


def _rows(entry: PlannedEntry, plan: Plan) -> Iterator[IntervalRow]:
    """Every percentile with a limit, and the median and the p99 beside them."""
    problem, estimate = entry.problem, plan.estimate
    if isinstance(problem, Problem):
        yield from _metric_rows("", estimate.e2e_s, problem.latency)
    elif isinstance(problem, LlmProblem) and estimate.tokens is not None:
        yield from _metric_rows("TTFT ", estimate.tokens.ttft_s, problem.ttft)
        yield from _metric_rows("TPOT ", estimate.tokens.tpot_s, problem.tpot)
        yield from _metric_rows("e2e ", estimate.e2e_s, problem.e2e)


def _metric_rows(
    prefix: str, values: Mapping[str, Interval], targets: Sequence[LatencyTarget]
) -> Iterator[IntervalRow]:
    limits = {target.label: target.limit_s for target in targets}
    for label, value in values.items():
        if label in limits or (limits and label in ("p50", "p99")):
            yield IntervalRow(label=prefix + label, value=value, limit=limits.get(label))


def _facts(entry: PlannedEntry, plan: Plan) -> Iterator[Fact]:
    estimate, problem = plan.estimate, entry.problem
    if problem is not None:
        full = f"{rate_text(estimate.throughput_rps.value)} at most"
        yield Fact(name="peak", value=rate_text(problem.traffic.peak_rps), note=full)
    yield Fact(name="busy at the peak", value=f"{estimate.utilization:.0%}")
    yield Fact(name="memory per device", value=f"{estimate.memory.total_bytes / GIB:.2f} GiB")
    if estimate.power_w is not None:
        per_joule = f"{estimate.goodput_rps / estimate.power_w.value:.3g} requests per joule"
        yield Fact(name="power", value=f"{estimate.power_w.value:.3g} W", note=per_joule)
    if estimate.cost is not None:
        cost = estimate.cost
        yield Fact(name="cost", value=f"${cost.usd_per_month:,.0f}/month", note=money_text(cost.usd_per_hour))
        per_million = f"${cost.usd_per_million_requests:.3g}"
        yield Fact(name="per million requests", value=per_million, note=cost.price_source)
        if cost.usd_per_million_tokens is not None:
            yield Fact(name="per million tokens", value=f"${cost.usd_per_million_tokens:.3g}")
    yield Fact(name="basis", value=estimate.basis.value, note=f"intervals at {estimate.confidence:.0%}")


def _chart(entry: PlannedEntry) -> FrontierChart | None:
    if not isinstance(entry.problem, Problem):
        return None
    return frontier_chart(frontier(entry.problem, entry.decision if isinstance(entry.decision, Plan) else None))


def _grouped(rejections: Sequence[Rejection]) -> tuple[RejectionGroup, ...]:
    groups: dict[str, list[Rejection]] = {}
    for rejection in rejections:
        groups.setdefault(rejection.constraint, []).append(rejection)
    return tuple(RejectionGroup(constraint=name, rejections=tuple(found)) for name, found in groups.items())


def _changes(entry: PlannedEntry) -> tuple[tuple[str, str, str], ...]:
    return tuple((change["path"], change["old"], change["new"]) for change in entry.changes)


def _diagnostics(entry: PlannedEntry) -> tuple[str, ...]:
    return tuple(f"{d.severity.value}: {d.message}" + (f" ({d.help})" if d.help else "") for d in entry.diagnostics)
