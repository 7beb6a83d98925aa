"""Accuracy by precision: what was measured of each, with its confidence interval, against the floor and the drop."""

from collections.abc import Sequence

from infc.ir.accuracy import AccuracyEvidence, Verdict, is_lower_better
from infc.ir.problem import AnyProblem
from infc.report.accuracy_text import subject_words
from infc.report.charts.drawing import Absent, DataTable, Key, Picture
from infc.report.charts.interval_rows import IntervalRow, Mark, interval_rows
from infc.report.charts.latency_curve import DOT

_TITLE = "Accuracy by precision"
_KINDS = {Verdict.PASS: "ok", Verdict.FAIL: "missed", Verdict.INCONCLUSIVE: "uncertain"}
_MOST_ROWS = 8


def accuracy_picture(
    problem: AnyProblem, also: AccuracyEvidence | None = None, *, chosen: str | None = None
) -> Picture | Absent:
    """The evidence that the workspace holds and, of a compile, what it measured (`also`)."""
    goal = problem.accuracy
    if goal is None:
        return Absent(title=_TITLE, sentence="The spec has no `accuracy:` section, so no precision was tested on data.")
    every = [each for each in problem.evidence if each.metric == goal.metric]
    if also is not None and also not in every:
        every.append(also)
    if not every:
        return Absent(
            title=_TITLE,
            sentence="No precision was measured yet: `infc compile SPEC` tests the planned one on the data.",
        )
    every = sorted(every, key=lambda each: (each.precision.value, each.subject, each.recipe_digest))[:_MOST_ROWS]
    is_lower = is_lower_better(goal.metric)
    rows = [_row(each, is_lower=is_lower, is_chosen=each.precision.value == chosen) for each in every]
    marks = [Mark(name=f"floor {goal.floor:g}", value=goal.floor)] if goal.floor is not None else []
    marks += _references(every)
    return Picture(
        title=f"{_TITLE}: {goal.metric}" + (", lower is better" if is_lower else ""),
        sentence=_sentence(every),
        drawing=interval_rows(rows, lambda value: f"{value:.4g}", marks=marks, from_zero=False),
        legend=_legend(every),
        table=_table(every),
    )


def _row(evidence: AccuracyEvidence, *, is_lower: bool, is_chosen: bool) -> IntervalRow:
    limits: tuple[float, ...] = ()
    if evidence.max_drop is not None:
        factor = 1.0 + evidence.max_drop if is_lower else 1.0 - evidence.max_drop
        limits = (evidence.reference * factor,)
    subject = subject_words(evidence.subject).removeprefix("the ")
    return IntervalRow(
        label=f"{evidence.precision.value}{' (chosen)' if is_chosen else ''}, {subject}",
        value=evidence.value,
        said=f"{evidence.value.value:.4f} {evidence.verdict.value}",
        kind=_KINDS[evidence.verdict],
        limits=limits,
    )


def _references(every: Sequence[AccuracyEvidence]) -> list[Mark]:
    """The unquantised models that the others were compared with: one, unless data or model changed between."""
    values = sorted({round(each.reference, 6) for each in every})
    return [Mark(name=f"reference {value:.4g}", value=value, kind="reference") for value in values[:2]]


def _sentence(every: Sequence[AccuracyEvidence]) -> str:
    parts = []
    for each in every:
        drop = f"drop {each.drop.value:.2%} ({each.drop.low:.2%} to {each.drop.high:.2%})"
        allowed = f", {each.max_drop:.2%} allowed" if each.max_drop is not None else ""
        parts.append(f"{each.precision.value} {each.value.value:.4f}: {each.verdict.value}, {drop}{allowed}")
    return f"{'; '.join(parts)}. Intervals at {every[0].confidence:.0%}."


def _legend(every: Sequence[AccuracyEvidence]) -> tuple[Key, ...]:
    seen = {each.verdict for each in every}
    keys = [Key(kind=f"dot {_KINDS[v]}", text=v.value, shape=DOT) for v in Verdict if v in seen]
    if any(each.max_drop is not None for each in every):
        keys.append(Key(kind="limit", text="most that may be lost (max_drop)", shape="M0,-7V7"))
    return tuple(keys)


def _table(every: Sequence[AccuracyEvidence]) -> DataTable:
    rows = tuple(
        (
            each.precision.value,
            subject_words(each.subject).removeprefix("the "),
            f"{each.value.value:.4f} ({each.value.low:.4f} to {each.value.high:.4f})",
            f"{each.reference:.4f}",
            f"{each.drop.value:.2%} ({each.drop.low:.2%} to {each.drop.high:.2%})",
            "" if each.max_drop is None else f"{each.max_drop:.2%}",
            "" if each.floor is None else f"{each.floor:g}",
            f"{each.samples:,}",
            each.verdict.value,
        )
        for each in every
    )
    columns = ("precision", "measured on", "value", "reference", "drop", "max_drop", "floor", "samples", "verdict")
    return DataTable(columns=columns, rows=rows)
