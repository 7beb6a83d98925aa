"""A plan as text: what was decided, what is predicted against the SLO, what it costs, and why."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from infc.ir.candidate import Candidate, ContinuousBatching, DynamicBatching
from infc.ir.estimate import Estimate
from infc.ir.interval import Basis, Interval
from infc.ir.plan import Infeasible, Plan, Rejection, RunnerUp, SearchSummary, SmallestHardware
from infc.ir.problem import AnyProblem, LlmProblem
from infc.plan.words import counted, duration_text, figure_text, money_text, month_text, rate_text, size_text
from infc.report.layout import INDENT, WIDTH, Style, bullets, heading, row, style_for, table, wrapped_row
from infc.report.plan_models import model_rows
from infc.report.plan_money import capacity_rows, cost_rows, energy_rows
from infc.report.plan_tokens import (
    batching_words,
    devices_words,
    latency_rows,
    load_words,
    memory_words,
    runner_up_rows,
)
from infc.report.planned import PlannedEntry
from infc.report.power_modes import mode_words
from infc.report.review import Review

if TYPE_CHECKING:
    from infc.plan.why import Why

_NAMES_SHOWN = 5


def render_plan_text(entries: Sequence[PlannedEntry], *, color: bool) -> str:
    """Every decision under its spec; specs without a decision are left to their diagnostics."""
    style = style_for(color=color)
    blocks = ["\n".join(_entry(entry, style)) for entry in entries if entry.decision is not None]
    return "\n\n".join(blocks)


def render_why_text(answers: "Sequence[Why]", *, color: bool) -> str:
    """The constraints of each asked candidate, one line each."""
    style = style_for(color=color)
    return "\n\n".join("\n".join(_why(answer, style)) for answer in answers)


def _entry(entry: PlannedEntry, style: Style) -> Iterator[str]:
    assert entry.decision is not None and entry.problem is not None  # noqa: S101, PT018 - the caller has checked
    title = style("bold", entry.name) + (f" for {style('bold', entry.target)}" if entry.target else "")
    verdict = style("green", "feasible") if isinstance(entry.decision, Plan) else style("red", "infeasible")
    yield f"{title}: {verdict}  {style('dim', entry.path)}"
    match entry.decision:
        case Plan() as plan:
            yield from _plan(entry.problem, plan, entry.review, style)
        case Infeasible() as infeasible:
            yield from _infeasible(infeasible, style)
    if entry.review.savings is not None:
        yield ""
        from infc.report.plan_review import savings_rows  # most plans have nothing to review

        yield from savings_rows(entry.review.savings, style)


def _plan(problem: AnyProblem, plan: Plan, review: Review, style: Style) -> Iterator[str]:
    estimate = plan.estimate
    yield ""
    yield f"{INDENT}{style('bold', headline(plan.candidate))}"
    yield f"{INDENT}{style('dim', 'candidate ' + plan.candidate.label)}"
    yield ""
    yield from _latency(problem, estimate, style)
    yield from wrapped_row("load", _load_words(problem, estimate), style)
    yield from wrapped_row("memory", _memory_words(estimate), style)
    yield from energy_rows(problem, estimate, style)
    yield from cost_rows(estimate, style)
    yield ""
    if plan.models:
        yield heading("models", style)
        yield from table(model_rows(plan.models))
        yield ""
    yield from _list("why", plan.reasons, style)
    if review.runtimes:
        yield from _list("without TensorRT", tuple(f"{r.settings}: {r.note}" for r in review.runtimes), style)
    yield from capacity_rows(problem, plan, style)
    if review.policy:
        from infc.report.plan_review import policy_rows

        yield from policy_rows(review.policy, style)
    if plan.comments:
        yield from _list("batching" if plan.candidate.server != "jetson" else "settings", plan.comments, style)
    if review.ladder or review.constraint_costs is not None:
        from infc.report.plan_review import ladder_rows

        yield from ladder_rows(review, style)
    if plan.runners_up:
        yield ""
        yield from _runners_up(problem, plan.runners_up, style)
    if plan.rejections:
        yield ""
        yield from _rejections(plan.rejections, style)
    yield from _search(plan.search, style)


def _infeasible(decision: Infeasible, style: Style) -> Iterator[str]:
    yield ""
    yield row("binding", style("red", ", ".join(decision.binding) or "no single constraint"), style)
    if decision.smallest is not None:
        yield from wrapped_row("smallest", smallest_words(decision.smallest), style)
    for mode in decision.power_modes:
        yield from wrapped_row("power mode", mode_words(mode), style)
    yield ""
    if decision.models:
        yield from _list("models", tuple(f"{model.name}: {model.words}" for model in decision.models), style)
        yield ""
    if decision.relaxations:
        yield heading("any one of these changes makes it feasible", style)
        rows = [
            (
                relaxation.path,
                relaxation.current,
                "->",
                style("bold", relaxation.needed),
                relaxation.candidate,
                "" if relaxation.usd_per_month is None else f"${relaxation.usd_per_month:,.0f}/month",
            )
            for relaxation in decision.relaxations
        ]
        yield from table(rows)
    else:
        yield f"{INDENT}no change of a single constraint makes it feasible"
    yield ""
    yield from _rejections(decision.rejections, style)
    yield from _search(decision.search, style)


def smallest_words(smallest: SmallestHardware) -> str:
    """What would hold a language model that no allowed host holds."""
    cost = "" if smallest.usd_per_month is None else f", {month_text(smallest.usd_per_month)} a replica"
    return (
        f"{smallest.devices} x {smallest.hardware_id} in {smallest.precision.value}"
        f" ({size_text(smallest.memory_bytes)}{cost}) is the least that holds the model and its longest request,"
        " whatever the speed"
    )


def headline(candidate: Candidate) -> str:
    """The decision on one line: devices, server, precision, batching, instances."""
    parts = [devices_words(candidate), candidate.server, candidate.precision.value]
    if isinstance(candidate.batching, ContinuousBatching):
        return " · ".join([*parts, *batching_words(candidate, candidate.batching)])
    if isinstance(candidate.batching, DynamicBatching):
        batching = candidate.batching
        if batching.max_batch_size == 1:
            parts.append("no batching")
        else:
            parts.append(f"batches up to {batching.max_batch_size}")
            delay = duration_text(batching.max_queue_delay_s) if batching.max_queue_delay_s else "none"
            parts.append(f"queue delay {delay}" + ("" if batching.has_prefetch else ", prefetch off"))
    parts.append(counted(candidate.instances_per_gpu, "instance"))
    return " · ".join(parts)


def _latency(problem: AnyProblem, estimate: Estimate, style: Style) -> Iterator[str]:
    rows = [("", "predicted", "90% interval", "SLO", "")]
    for latency in latency_rows(problem, estimate):
        value, limit = latency.value, latency.limit_s
        rows.append(
            (
                latency.label,
                duration_text(value.value),
                f"{duration_text(value.low)} .. {duration_text(value.high)}",
                duration_text(limit) if limit is not None else "",
                _verdict(value, limit, style),
            )
        )
    yield from table(rows)
    measure = "infc calibrate or validate would measure it"
    if estimate.tokens is not None:
        measure = "step times measured on the device would narrow it"
    advice = "" if estimate.basis is Basis.MEASURED else f"; {measure}"
    yield row("basis", f"{estimate.basis.value}{advice}", style)


def _verdict(value: Interval, limit: float | None, style: Style) -> str:
    if limit is None:
        return ""
    if value.value > limit:
        return style("red", "missed")
    return style("green", "ok") if value.high <= limit else style("yellow", "ok, but the interval crosses it")


def _load_words(problem: AnyProblem, estimate: Estimate) -> str:
    if estimate.tokens is not None:
        return load_words(problem, estimate, estimate.tokens)
    mean = "" if estimate.mean_utilization is None else f" (in the mean {estimate.mean_utilization:.0%})"
    return (
        f"peak {rate_text(problem.traffic.peak_rps)}, at full batches {rate_text(estimate.throughput_rps.value)};"
        f" busy {estimate.utilization:.0%}{mean}, mean batch {estimate.mean_batch_size:.2g}"
    )


def _memory_words(estimate: Estimate) -> str:
    if estimate.tokens is not None:
        return memory_words(estimate, estimate.tokens)
    memory = estimate.memory
    gib = 2.0**30
    return (
        f"{memory.total_bytes / gib:.2f} GiB per device: weights {memory.weights_bytes / gib:.2f}, activations"
        f" {memory.activations_bytes / gib:.2f}, runtime {memory.runtime_bytes / gib:.2f}"
        + (" (as the builder of this engine states)" if memory.is_from_builder else "")
    )


def _runners_up(problem: AnyProblem, runners_up: Sequence[RunnerUp], style: Style) -> Iterator[str]:
    yield heading("runners-up", style)
    if isinstance(problem, LlmProblem):
        yield from table(runner_up_rows(problem, runners_up))
        return
    judged = max(problem.latency, key=lambda t: t.percentile).label
    rows = [("candidate", "replicas", "cost", "$/M requests", judged, "busy", "requests/J")]
    for runner_up in runners_up:
        estimate = runner_up.estimate
        power = estimate.power_w
        rows.append(
            (
                runner_up.candidate.label,
                str(runner_up.candidate.replicas),
                "-" if estimate.cost is None else money_text(estimate.cost.usd_per_hour),
                "-" if estimate.cost is None else figure_text(estimate.cost.usd_per_million_requests),
                duration_text(estimate.e2e_s[judged].value),
                f"{estimate.utilization:.0%}",
                "-" if power is None else f"{estimate.goodput_rps / power.value:.3g}",
            )
        )
    yield from table(rows)


def _rejections(rejections: Sequence[Rejection], style: Style) -> Iterator[str]:
    """Grouped by constraint: the first few of each with what was predicted."""
    yield heading(f"not chosen ({len(rejections)}; --why CANDIDATE shows one)", style)
    groups: dict[str, list[Rejection]] = {}
    for rejection in rejections:
        groups.setdefault(rejection.constraint, []).append(rejection)
    for constraint, members in groups.items():
        by_words: dict[str, list[str]] = {}
        for member in members:
            words = f"{member.predicted} against {member.limit}" if member.limit else member.predicted
            by_words.setdefault(words, []).append(member.candidate)
        shown = [f"{', '.join(names)}: {words}" for words, names in list(by_words.items())[:_NAMES_SHOWN]]
        rest = len(members) - sum(len(names) for names in list(by_words.values())[:_NAMES_SHOWN])
        text = "; ".join(shown) + (f"; and {rest} more" if rest else "")
        first = f"{INDENT * 2}{constraint:<18}"
        yield from textwrap.wrap(
            text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
        )


def _search(summary: SearchSummary, style: Style) -> Iterator[str]:
    """How many places arithmetic ruled out, and how many were simulated."""
    bounds = ", ".join(f"{name} {count}" for name, count in summary.pruned.items())
    ruled_out = sum(summary.pruned.values())
    words = f"{counted(summary.considered, 'place')} considered, {summary.simulated} simulated"
    if summary.simulations:
        words += f" in {summary.simulations} runs"
    if ruled_out:
        words += f", {ruled_out} ruled out by arithmetic ({bounds})"
    yield from wrapped_row("search", words, style)


def _why(answer: "Why", style: Style) -> Iterator[str]:
    label = answer.candidate.label if answer.candidate is not None else answer.label
    replicas = "" if answer.candidate is None else f" x {answer.candidate.replicas}"
    yield style("bold", f"{label}{replicas}")
    rows = [
        (
            check.constraint,
            style("green", "holds") if check.holds else style("red", "broken"),
            check.predicted,
            f"limit {check.limit}" if check.limit else "",
        )
        for check in answer.checks
    ]
    yield from table(rows)
    if answer.objective is not None and answer.estimate is not None:
        yield row("objective", answer.objective, style)
        yield row("basis", answer.estimate.basis.value, style)


def _list(name: str, sentences: Sequence[str], style: Style) -> Iterator[str]:
    yield heading(name, style)
    yield from bullets(sentences)


def _range(interval: Interval, scale: float) -> str:
    return f"({interval.low * scale:.3g} .. {interval.high * scale:.3g})"
