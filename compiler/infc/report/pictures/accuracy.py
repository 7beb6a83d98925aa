"""Accuracy by precision: what was measured of each, with its confidence interval, against floor and max_drop."""

from collections.abc import Iterator, Sequence

from infc.ir.accuracy import AccuracyEvidence, Verdict, is_lower_better
from infc.ir.interval import Interval
from infc.ir.problem import AnyProblem
from infc.report.accuracy_text import subject_words
from infc.report.charts.drawing import Absent, DataTable, Key, Picture
from infc.report.charts.interval_rows import IntervalRow, Mark, interval_rows
from infc.report.charts.latency_curve import DOT

_TITLE = "Accuracy by precision"
_KINDS = {Verdict.PASS: "ok", Verdict.FAIL: "missed", Verdict.INCONCLUSIVE: "uncertain"}
_MOST_ROWS = 8


def accuracy_pictures(
    problem: AnyProblem, also: AccuracyEvidence | None = None, *, chosen: str | None = None
) -> Iterator[Picture | Absent]:
    """The evidence that the workspace holds and, of a compile, what it measured (`also`): the metric, and what is lost.

    Both are shown because they are judged apart: the metric against the floor, and the loss, which is known more
    closely since it is paired sample by sample, against max_drop.
    """
    goal = problem.accuracy
    if goal is None:
        words = "The spec has no `accuracy:` section, so no precision was tested on data."
        yield Absent(title=_TITLE, sentence=words)
        return
    every = [each for each in problem.evidence if each.metric == goal.metric]
    if also is not None and also not in every:
        every.append(also)
    if not every:
        words = "No precision was measured yet: `infc compile SPEC` tests the planned one on the data."
        yield Absent(title=_TITLE, sentence=words)
        return
    every = sorted(every, key=lambda each: (each.precision.value, each.subject, each.recipe_digest))[:_MOST_ROWS]
    labels = [_label(each, is_chosen=each.precision.value == chosen) for each in every]
    yield _value_picture(every, labels)
    if any(each.max_drop is not None for each in every):
        yield _drop_picture(every, labels)


def _value_picture(every: Sequence[AccuracyEvidence], labels: Sequence[str]) -> Picture:
    metric = every[0].metric
    rows = [
        IntervalRow(
            label=label,
            value=each.value,
            said=f"{each.value.value:.4f} {each.verdict.value}",
            kind=_KINDS[each.verdict],
        )
        for each, label in zip(every, labels, strict=True)
    ]
    floors = sorted({each.floor for each in every if each.floor is not None})
    marks = [Mark(name=f"floor {floor:g}", value=floor) for floor in floors]
    said = "; ".join(f"{row.label} {row.said}" for row in rows)
    return Picture(
        title=f"{_TITLE}: {metric}" + (", lower is better" if is_lower_better(metric) else ""),
        sentence=f"{said}. Intervals at {every[0].confidence:.0%}.",
        drawing=interval_rows(rows, _short, marks=[*marks, *_references(every)], from_zero=False),
        legend=_legend(every),
        table=_table(every),
    )


def _drop_picture(every: Sequence[AccuracyEvidence], labels: Sequence[str]) -> Picture:
    rows = [
        IntervalRow(label=label, value=each.drop, said=f"{each.drop.value:.2%}", kind=_KINDS[each.verdict])
        for each, label in zip(every, labels, strict=True)
    ]
    allowed = sorted({each.max_drop for each in every if each.max_drop is not None})
    marks = [Mark(name=f"max_drop {drop:.2%}", value=drop) for drop in allowed]
    marks.append(Mark(name="as the reference", value=0.0, kind="reference"))
    said = "; ".join(f"{label} loses {_range(each.drop)}" for each, label in zip(every, labels, strict=True))
    return Picture(
        title="Accuracy lost against the unquantised reference",
        sentence=f"{said}. Paired sample by sample, intervals at {every[0].confidence:.0%}.",
        drawing=interval_rows(rows, _percent, marks=marks, from_zero=False),
        legend=_legend(every),
        table=_table(every),
    )


def _label(evidence: AccuracyEvidence, *, is_chosen: bool) -> str:
    subject = subject_words(evidence.subject).removeprefix("the ").partition(",")[0]
    return f"{evidence.precision.value}{' (chosen)' if is_chosen else ''}, {subject}"


def _range(drop: Interval) -> str:
    return f"{drop.value:.2%} ({drop.low:.2%} to {drop.high:.2%})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _short(value: float) -> str:
    return f"{value:.4g}"


def _references(every: Sequence[AccuracyEvidence]) -> list[Mark]:
    """The unquantised models that the others were compared with: one, unless data or model changed between."""
    values = sorted({round(each.reference, 6) for each in every})
    return [Mark(name=f"reference {value:.4g}", value=value, kind="reference") for value in values[:2]]


def _legend(every: Sequence[AccuracyEvidence]) -> tuple[Key, ...]:
    seen = {each.verdict for each in every}
    return tuple(Key(kind=f"dot {_KINDS[v]}", text=v.value, shape=DOT) for v in Verdict if v in seen)


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
