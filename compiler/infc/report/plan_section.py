"""One decision as the HTML page shows it: what was decided, the pictures, what changed, why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infc.ir.accuracy import AccuracyEvidence
from infc.ir.change import ChangedInput, DeploymentChange, Effect, Figure
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.ir.plan import Infeasible, Plan, Rejection, Relaxation, SearchSummary
from infc.ir.problem import AnyProblem
from infc.plan.capacity_words import capacity_sentences
from infc.plan.distribution import behaviour
from infc.plan.frontier import frontiers
from infc.plan.ladder import Rung, ladder_sentences
from infc.plan.words import duration_text, figure_text, money_text, month_text, rate_text, size_text
from infc.report.change_words import evidence_words, figure_words, interval_words, limit_words
from infc.report.charts.drawing import Absent, Picture
from infc.report.charts.frontier import frontier_chart
from infc.report.charts.interval_rows import state_of
from infc.report.pictures.accuracy import accuracy_pictures
from infc.report.pictures.latency import distribution_pictures, layers_picture, slo_picture
from infc.report.pictures.load import load_picture, memory_picture
from infc.report.pictures.money import change_picture, savings_picture
from infc.report.plan_models import model_rows
from infc.report.plan_review import policy_words
from infc.report.plan_text import headline
from infc.report.plan_tokens import latency_rows
from infc.report.planned import PlannedEntry
from infc.report.power_modes import mode_words

VERDICTS = {"ok": "feasible", "uncertain": "feasible, not certain", "missed": "missed"}


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
class Notice:
    """A sentence that asks for attention. `state` is missed or uncertain."""

    state: str
    words: str


@dataclass(frozen=True, kw_only=True)
class LadderRow:
    """One rung. `state` is ok or missed; `share` is its cost in percent of the dearest rung's, None without a price."""

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
class Changes:
    """What differs from the base: `inputs` are what caused it, `rows` what follows, each with old and new."""

    base: str
    inputs: tuple[tuple[str, str, str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One decision. `state` is ok, uncertain, missed or invalid; `action` is empty where nothing is compared."""

    anchor: str
    title: str
    path: str
    state: str
    verdict: str
    action: str
    headline: str
    candidate: str
    judged: str
    cost: str
    usd_per_month: float | None
    basis: str
    facts: tuple[Fact, ...]
    notices: tuple[Notice, ...]
    binding: tuple[str, ...]
    modes: tuple[str, ...]
    relaxations: tuple[Relaxation, ...]
    changes: Changes | None
    pictures: tuple[Picture, ...]
    absent: tuple[Absent, ...]
    ladder: LadderPart | None
    models: tuple[tuple[str, ...], ...]
    reasons: tuple[str, ...]
    capacity: tuple[str, ...]
    rejected: tuple[RejectionGroup, ...]
    search: str


def plan_section(
    entry: PlannedEntry,
    anchor: str,
    *,
    measurement: Measurement | LlmMeasurement | None = None,
    evidence: AccuracyEvidence | None = None,
    change: DeploymentChange | None = None,
    base: str = "infc.lock",
    is_compiled: bool = False,
) -> Section:
    """The section of one entry.

    Sizes what was not chosen on short simulations, and simulates the choice again: a second or so.

    Args:
        entry: the decision.
        anchor: its id on the page.
        measurement: what a load test of this decision showed.
        evidence: accuracy that was measured just now, beside what the problem knows.
        change: how it differs from `base`; without it the entry's changes against the lock are shown.
        base: what the change is against.
        is_compiled: it was compiled just now, so nothing is said of what was before.
    """
    decision, plan = entry.decision, entry.decision if isinstance(entry.decision, Plan) else None
    infeasible = decision if isinstance(decision, Infeasible) else None
    state = _state(entry, plan)
    drawn = tuple(_pictures(entry, plan, measurement, evidence, change, is_compiled=is_compiled))
    judged, cost = ("", "") if plan is None else (_judged(entry, plan), _cost(plan))
    return Section(
        anchor=anchor,
        title=entry.name + (f" for {entry.target}" if entry.target else ""),
        path=entry.path,
        state=state,
        verdict="invalid" if decision is None else "infeasible" if plan is None else VERDICTS[state],
        action=_action(entry, change),
        headline="" if plan is None else headline(plan.candidate),
        candidate="" if plan is None else plan.candidate.label,
        judged=judged,
        cost=cost,
        usd_per_month=None if plan is None or plan.estimate.cost is None else plan.estimate.cost.usd_per_month,
        basis="" if plan is None else plan.estimate.basis.value,
        facts=() if plan is None else tuple(_facts(entry.problem, plan)),
        notices=tuple(_notices(entry)),
        binding=() if infeasible is None else infeasible.binding,
        modes=() if infeasible is None else tuple(mode_words(mode) for mode in infeasible.power_modes),
        relaxations=() if infeasible is None else infeasible.relaxations,
        changes=_changes(entry, change, base),
        pictures=tuple(each for each in drawn if isinstance(each, Picture)),
        absent=tuple(each for each in drawn if isinstance(each, Absent)),
        ladder=_ladder(entry),
        models=tuple(model_rows(decision.models)) if decision is not None and decision.models else (),
        reasons=() if plan is None else (*plan.reasons, *plan.comments),
        capacity=() if plan is None or entry.problem is None else capacity_sentences(entry.problem, plan),
        rejected=() if decision is None else _grouped(decision.rejections),
        search="" if plan is None else _search(plan.search),
    )


def _pictures(
    entry: PlannedEntry,
    plan: Plan | None,
    measurement: Measurement | LlmMeasurement | None,
    evidence: AccuracyEvidence | None,
    change: DeploymentChange | None,
    *,
    is_compiled: bool,
) -> Iterator[Picture | Absent]:
    """In the order in which a reviewer asks: does it hold, where does the time go, what does it cost, is it right."""
    problem = entry.problem
    if problem is None:
        return
    simulated = None if plan is None else behaviour(problem, plan)
    if plan is not None:
        slo = slo_picture(problem, plan, measurement)
        yield from () if slo is None else (slo,)
        yield layers_picture(simulated, measurement)
        yield from distribution_pictures(problem, plan, simulated, measurement)
    yield from _frontier_pictures(problem, plan)
    yield from accuracy_pictures(problem, evidence, chosen=None if plan is None else plan.candidate.precision.value)
    if plan is not None:
        if not is_compiled:
            yield change_picture(change) if change is not None else savings_picture(entry.review.savings)
        yield load_picture(problem, plan, measurement)
        yield memory_picture(problem, plan)


def _frontier_pictures(problem: AnyProblem, plan: Plan | None) -> Iterator[Picture | Absent]:
    drawn = [picture for each in frontiers(problem, plan) if (picture := frontier_chart(each)) is not None]
    yield from drawn
    if not drawn:
        yield Absent(
            title="Cost against latency",
            sentence="No way to deploy could be sized: see what stands in the way."
            if plan is None
            else "Fewer than two ways to deploy have a price: more hardware in `constraints.hardware` or prices of"
            " your own in `targets/prices/` provide them.",
        )


def _state(entry: PlannedEntry, plan: Plan | None) -> str:
    if entry.decision is None:
        return "invalid"
    if plan is None or entry.problem is None:
        return "missed"
    states = {
        state_of(row.value, row.limit_s) for row in latency_rows(entry.problem, plan.estimate, only_promised=True)
    }
    return next(each for each in ("missed", "uncertain", "ok") if each in (states or {"ok"}))


def _judged(entry: PlannedEntry, plan: Plan) -> str:
    """The promised percentile that uses up most of its limit, in words."""
    assert entry.problem is not None  # noqa: S101 - it was planned
    rows = [(row, row.limit_s) for row in latency_rows(entry.problem, plan.estimate, only_promised=True)]
    shares = [(row.value.value / limit, row.label, row.value.value, limit) for row, limit in rows if limit is not None]
    if not shares:
        return ""
    _, label, value, limit = max(shares)
    return f"{label} {duration_text(value)} of {duration_text(limit)}"


def _cost(plan: Plan) -> str:
    cost = plan.estimate.cost
    return "no price known" if cost is None else month_text(cost.usd_per_month)


def _facts(problem: AnyProblem | None, plan: Plan) -> Iterator[Fact]:
    estimate = plan.estimate
    if estimate.cost is not None:
        cost = estimate.cost
        yield Fact(name="cost", value=month_text(cost.usd_per_month), note=money_text(cost.usd_per_hour))
        if cost.usd_per_million_tokens is not None:
            per_million = f"${figure_text(cost.usd_per_million_tokens)}"
            yield Fact(name="per million output tokens", value=per_million, note=cost.price_source)
        else:
            per_million = f"${figure_text(cost.usd_per_million_requests)}"
            yield Fact(name="per million requests", value=per_million, note=cost.price_source)
    if problem is not None:
        yield Fact(
            name="peak",
            value=rate_text(problem.traffic.peak_rps),
            note=f"{rate_text(estimate.throughput_rps.value)} at most",
        )
    yield Fact(name="busy at the peak", value=f"{estimate.utilization:.0%}")
    yield Fact(name="memory of a device", value=size_text(estimate.memory.total_bytes))
    if estimate.power_w is not None:
        per_joule = f"{estimate.goodput_rps / estimate.power_w.value:.3g} requests per joule"
        yield Fact(name="power", value=f"{figure_text(estimate.power_w.value)} W", note=per_joule)
    yield Fact(name="evidence", value=estimate.basis.value, note=f"intervals at {estimate.confidence:.0%}")


def _notices(entry: PlannedEntry) -> Iterator[Notice]:
    for finding in entry.review.policy:
        yield Notice(state="missed" if finding.is_failure else "uncertain", words=f"policy: {policy_words(finding)}")
    for each in entry.diagnostics:
        state = "missed" if each.severity.value == "error" else "uncertain"
        words = f"{each.severity.value}: {each.message}" + (f" ({each.help})" if each.help else "")
        yield Notice(state=state, words=words)


def _action(entry: PlannedEntry, change: DeploymentChange | None) -> str:
    if change is not None:
        return change.action
    return "changed" if entry.changes else ""


def _changes(entry: PlannedEntry, change: DeploymentChange | None, base: str) -> Changes | None:
    if change is None:
        if not entry.changes:
            return None
        rows = tuple((c["path"], c["old"], c["new"], "", "") for c in entry.changes)
        return Changes(base=base, inputs=(), rows=rows, words=())
    if change.action == "unchanged":
        return None
    return Changes(
        base=base,
        inputs=tuple(_input(each) for each in change.inputs),
        rows=tuple(_effect(each) for each in change.effects),
        words=change.words,
    )


def _input(each: ChangedInput) -> tuple[str, str, str, str]:
    place = "" if each.file is None else each.file + (f":{each.line}" if each.line is not None else "")
    return (f"{each.kind} {each.path}", each.old or "absent", each.new or "absent", place)


def _effect(effect: Effect) -> tuple[str, str, str, str, str]:
    return (effect.label, _figure(effect.old), _figure(effect.new), limit_words(effect), evidence_words(effect))


def _figure(figure: Figure | None) -> str:
    """A figure with its interval; one that only a build or a test gives says so."""
    if figure is None:
        return ""
    if figure.value is None:
        return "known after the compile"
    interval = interval_words(figure)
    return figure_words(figure) + (f" ({interval})" if interval else "")


def _grouped(rejections: Sequence[Rejection]) -> tuple[RejectionGroup, ...]:
    groups: dict[str, list[Rejection]] = {}
    for rejection in rejections:
        groups.setdefault(rejection.constraint, []).append(rejection)
    return tuple(RejectionGroup(constraint=name, rejections=tuple(found)) for name, found in groups.items())


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
        cost="-" if cost is None else f"${figure_text(cost)}",
        share=None if cost is None or dearest <= 0 else round(100 * cost / dearest, 1),
        state="ok" if rung.meets_slo else "missed",
        verdict=verdict if rung.is_taken else f"{verdict}, not taken",
    )


def _search(search: SearchSummary) -> str:
    """How the search went, in one sentence; empty where it was not counted."""
    if not search.considered:
        return ""
    pruned: Mapping[str, int] = search.pruned
    listed = ", ".join(f"{name} {count}" for name, count in pruned.items())
    return (
        f"{search.considered} places considered, {search.simulated} simulated,"
        f" {sum(pruned.values())} ruled out by arithmetic" + (f" ({listed})" if listed else "")
    )
