"""The lock before, the policy, the ladder and the costs of constraints: rows of the text report, lines of Markdown."""

from collections.abc import Iterator, Sequence

from infc.ir.policy import PolicyFinding
from infc.plan.constraint_costs import ConstraintCost
from infc.plan.ladder import Rung, ladder_sentences
from infc.plan.savings import Savings
from infc.plan.words import counted, duration_text, figure_text, month_text
from infc.report.layout import Style, bullets, heading, table
from infc.report.markdown_text import code, inline
from infc.report.review import Review


def policy_rows(findings: Sequence[PolicyFinding], style: Style) -> Iterator[str]:
    """Thresholds of the team's policy that the plan does not keep."""
    if not findings:
        return
    yield heading("policy", style)
    for finding in findings:
        color = "red" if finding.is_failure else "yellow"
        first, *rest = bullets([f"{_verdict(finding)}: {policy_words(finding)}"])
        yield first.replace(_verdict(finding), style(color, _verdict(finding)), 1)
        yield from rest


def savings_rows(saved: Savings | None, style: Style) -> Iterator[str]:
    """The locked deployment and the plan, at today's prices."""
    if saved is None:
        return
    yield heading("before and after, at today's prices", style)
    locked = saved.locked_usd_per_month
    rows = [
        (
            "locked",
            f"{saved.before.replicas} x {saved.before.label}",
            _month(saved.before_usd_per_month),
            "" if locked is None else f"{month_text(locked)} when locked",
        ),
        ("now", f"{saved.after.replicas} x {saved.after.label}", _month(saved.after_usd_per_month), ""),
    ]
    yield from table(rows)
    words = savings_words(saved)
    if words:
        color = "green" if (saved.usd_per_month or 0.0) > 0 else "yellow"
        yield f"    {style(color, words)}"


def savings_words(saved: Savings) -> str:
    """What is saved or spent, over a month and a year; empty where no price is known."""
    month, year = saved.usd_per_month, saved.usd_per_year
    if month is None or year is None:
        return ""
    share = "" if saved.share is None else f" ({abs(saved.share):.0%})"
    if abs(month) < 0.005:
        return "costs the same"
    verb = "saves" if month > 0 else "costs"
    more = "" if month > 0 else " more"
    return f"{verb} {month_text(abs(month))}{more}, ${abs(year):,.0f} a year{share}"


def ladder_rows(review: Review, style: Style) -> Iterator[str]:
    """What each step buys, and what each constraint costs; nothing where it was not asked for."""
    if review.ladder:
        yield ""
        yield heading("ladder: what each step buys on this device", style)
        shown = _shown(review.ladder[0])
        rows = [("step", "adds", "replicas", *shown, "one alone", "$/M requests", "SLO")]
        rows += [_rung(rung, style) for rung in review.ladder]
        yield from table(rows)
        yield from bullets(ladder_sentences(review.ladder))
    if review.constraint_costs is not None:
        yield ""
        yield heading("what the constraints cost", style)
        yield from _constraint_rows(review.constraint_costs)


def review_markdown(review: Review) -> Iterator[str]:
    """Lines for a pull request: policy, savings, ladder, constraints."""
    for finding in review.policy:
        yield f"- **policy {_verdict(finding)}**: {inline(policy_words(finding))}"
    saved = review.savings
    if saved is not None:
        words = savings_words(saved) or "no price is known on both sides"
        before = f"`{saved.before.label}` x {saved.before.replicas}, {_month(saved.before_usd_per_month)}"
        after = f"`{saved.after.label}` x {saved.after.replicas}, {_month(saved.after_usd_per_month)}"
        yield f"- against the lock, at today's prices: {before} before, {after} now: {inline(words)}"
    for rung in review.runtimes:
        yield f"- without TensorRT, {inline(rung.settings)}: {inline(rung.note)}"
    if review.ladder:
        labels = _shown(review.ladder[0])
        yield ""
        yield f"| step | adds | replicas | {' | '.join(labels)} | $/M requests | SLO |"
        yield "|---" * (5 + len(labels)) + "|"
        for rung in review.ladder:
            cells = _rung(rung, lambda _kind, text: text)
            yield f"| {' | '.join(map(inline, (*cells[: 3 + len(labels)], *cells[4 + len(labels) :])))} |"
    for cost in review.constraint_costs or ():
        yield f"- {code(cost.path)} costs {inline(month_text(cost.usd_per_month))}: {inline(_constraint_words(cost))}"


def policy_words(finding: PolicyFinding) -> str:
    """The threshold, the prediction, where the threshold stands, and why the team wants it."""
    threshold = finding.threshold
    place = f"{threshold.span.path}:{threshold.span.line}"
    because = f"; {threshold.because}" if threshold.because else ""
    return f"{threshold.rule} {threshold.written}: {finding.predicted} ({place}{because})"


def _verdict(finding: PolicyFinding) -> str:
    if finding.outcome == "unknown":
        return "not judged"
    return "fail" if finding.threshold.action == "fail" else "warn"


def _shown(rung: Rung) -> tuple[str, ...]:
    """The percentiles that the table has room for: the last of each kind of latency, which is the highest."""
    by_kind = {label.rpartition(" ")[0]: label for label in rung.latency_s}
    return tuple(by_kind.values())


def _rung(rung: Rung, style: Style) -> tuple[str, ...]:
    verdict = style("green", "met") if rung.meets_slo else style("red", "missed")
    return (
        rung.step,
        rung.settings,
        "no number" if rung.replicas is None else str(rung.replicas),
        *(duration_text(rung.latency_s[label].value) for label in _shown(rung)),
        "overloaded" if rung.alone_s is None else duration_text(rung.alone_s),
        "-" if rung.usd_per_million_requests is None else figure_text(rung.usd_per_million_requests),
        verdict if rung.is_taken else f"{verdict}, not taken",
    )


def _constraint_rows(costs: Sequence[ConstraintCost]) -> Iterator[str]:
    if not costs:
        yield "    none costs anything: without any one of them the plan would cost the same"
        return
    yield from bullets(
        [f"{c.path} ({c.current}) costs {month_text(c.usd_per_month)}; {_constraint_words(c)}" for c in costs]
    )


def _constraint_words(cost: ConstraintCost) -> str:
    replicas = counted(cost.candidate.replicas, "replica")
    return f"with {cost.without}: {replicas} of {cost.candidate.label}, busy {cost.utilization:.0%}"


def _month(usd_per_month: float | None) -> str:
    return "no price known" if usd_per_month is None else month_text(usd_per_month)
