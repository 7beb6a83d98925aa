"""Plans as one self-contained HTML page with pictures: no script, no font, no request to anywhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from infc.ir.interval import Interval
from infc.ir.plan import Infeasible, Plan, Rejection, Relaxation, SearchSummary
from infc.ir.problem import LatencyTarget, LlmProblem, Problem
from infc.plan.capacity_words import capacity_sentences
from infc.plan.frontier import frontier
from infc.plan.ladder import Rung, ladder_sentences
from infc.plan.words import duration_text, money_text, rate_text
from infc.report.charts.frontier import FrontierChart, frontier_chart
from infc.report.charts.interval_bars import IntervalBars, IntervalRow, interval_bars, state_of
from infc.report.plan_models import model_rows
from infc.report.plan_review import policy_words, savings_words
from infc.report.plan_text import headline
from infc.report.planned import PlannedEntry
from infc.report.power_modes import mode_words

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
class LadderRow:
    """One rung. `state` is ok or missed; `share` is its cost as a share of the dearest rung's, None without a price."""

    step: str
    settings: str
    replicas: str
    latencies: tuple[str, ...]
    cost: str
    share: float | None
    state: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class LadderPart:
    """The ladder as a table: the names of its latencies, a row for each rung, and what follows from them."""

    labels: tuple[str, ...]
    rows: tuple[LadderRow, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PolicyLine:
    """A threshold that is not kept. `state` is missed for a failure, else uncertain."""

    state: str
    words: str


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
    savings: str
    policy: tuple[PolicyLine, ...]
    ladder: LadderPart | None
    capacity: tuple[str, ...]
    search: str
    models: tuple[tuple[str, ...], ...] = ()
    modes: tuple[str, ...] = ()


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
            modes = tuple(mode_words(mode) for mode in infeasible.power_modes)
        case None:
            state, verdict = "invalid", "invalid"
            binding, rejections, relaxations, modes = (), (), (), ()
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
        modes=modes,
        relaxations=relaxations,
        rejected=_grouped(rejections),
        changes=_changes(entry),
        diagnostics=_diagnostics(entry),
        savings="",
        policy=_policy(entry),
        ladder=None,
        capacity=(),
        search="",
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
        savings=_savings(entry),
        policy=_policy(entry),
        ladder=_ladder(entry),
        capacity=() if entry.problem is None else capacity_sentences(entry.problem, plan),
        search=_search(plan.search),
        models=tuple(model_rows(plan.models)) if plan.models else (),
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
        yield Fact(name="power", value=f"{short(estimate.power_w.value)} W", note=per_joule)
    if estimate.cost is not None:
        cost = estimate.cost
        yield Fact(name="cost", value=f"${cost.usd_per_month:,.0f}/month", note=money_text(cost.usd_per_hour))
        per_million = f"${short(cost.usd_per_million_requests)}"
        yield Fact(name="per million requests", value=per_million, note=cost.price_source)
        if cost.usd_per_million_tokens is not None:
            yield Fact(name="per million tokens", value=f"${short(cost.usd_per_million_tokens)}")
    yield Fact(name="basis", value=estimate.basis.value, note=f"intervals at {estimate.confidence:.0%}")


def short(value: float) -> str:
    """Three digits, or all digits before the point.

    >>> short(0.4866), short(98_123.4)
    ('0.487', '98,123')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _chart(entry: PlannedEntry) -> FrontierChart | None:
    if entry.problem is None:
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


def _savings(entry: PlannedEntry) -> str:
    saved = entry.review.savings
    if saved is None:
        return ""
    words = savings_words(saved) or "no price is known on both sides"
    return (
        f"{saved.before.replicas} x {saved.before.label} before, {saved.after.replicas} x {saved.after.label}: {words}"
    )


def _policy(entry: PlannedEntry) -> tuple[PolicyLine, ...]:
    return tuple(
        PolicyLine(state="missed" if finding.is_failure else "uncertain", words=policy_words(finding))
        for finding in entry.review.policy
    )


def _ladder(entry: PlannedEntry) -> LadderPart | None:
    rungs = entry.review.ladder
    if not rungs:
        return None
    labels = tuple(rungs[0].latency_s)
    dearest = max((rung.usd_per_million_requests or 0.0 for rung in rungs), default=0.0)
    return LadderPart(
        labels=labels,
        rows=tuple(_ladder_row(rung, labels, dearest) for rung in rungs),
        sentences=ladder_sentences(rungs),
    )


def _ladder_row(rung: Rung, labels: Sequence[str], dearest: float) -> LadderRow:
    cost = rung.usd_per_million_requests
    verdict = "met" if rung.meets_slo else "missed"
    return LadderRow(
        step=rung.step,
        settings=rung.settings,
        replicas="no number" if rung.replicas is None else str(rung.replicas),
        latencies=tuple(duration_text(rung.latency_s[label].value) for label in labels),
        cost="-" if cost is None else f"${short(cost)}",
        share=None if cost is None or dearest <= 0 else round(100 * cost / dearest, 1),
        state="ok" if rung.meets_slo else "missed",
        verdict=verdict if rung.is_taken else f"{verdict}, not taken",
    )


def _search(search: SearchSummary) -> str:
    """How the search went, in one sentence; empty where it was not counted."""
    if not search.considered:
        return ""
    pruned = ", ".join(f"{name} {count}" for name, count in search.pruned.items())
    return (
        f"{search.considered} places considered, {search.simulated} simulated,"
        f" {sum(search.pruned.values())} ruled out by arithmetic" + (f" ({pruned})" if pruned else "")
    )
