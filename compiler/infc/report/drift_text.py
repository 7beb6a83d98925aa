"""`infc drift` for people: the verdict, what drifted, the SLO, what a plan would be now, what cannot be seen."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from infc.lock.drift import DriftItem, DriftReport, DriftVerdict, ObjectiveItem, Observed, ObservedPlan
from infc.lock.drift.values import DriftArea, DriftSubject
from infc.report.layout import INDENT, WIDTH, Style, bullets, heading, inert, style_for, table, wrapped_row

_HEADLINES = {
    "same": ("green", "nothing drifted"),
    "drifted": ("red", "drifted"),
    "slo-missed": ("red", "the SLO is missed"),
    "cannot-tell": ("yellow", "nothing drifted as far as can be seen; whether the SLO holds cannot be told"),
}
_COLORS = {
    DriftVerdict.SAME: "green",
    DriftVerdict.DRIFTED: "red",
    DriftVerdict.NOT_VISIBLE: "yellow",
    Observed.MET: "green",
    Observed.MISSED: "red",
    Observed.CANNOT_TELL: "yellow",
}
_AREAS: tuple[tuple[DriftArea, str], ...] = (
    ("deployment", "what runs"),
    ("workload", "what it is asked"),
    ("prediction", "predicted and seen"),
)
_HELP: Mapping[DriftSubject, str] = {
    "server": "help: deploy the bundle of infc.lock again, or lock what is meant to run with `infc compile`",
    "cluster": "help: apply the kubernetes folder of the locked bundle, or lock what is meant with `infc compile`",
    "folder": "help: commit what `infc compile` writes for infc.lock, or lock what is meant to be there",
}
_LEAST_USD = 0.5
_MAX_CELL = 30


def render_drift_text(report: DriftReport, *, detailed: bool = False, color: bool = False) -> str:
    """The report as text, without a final newline. Without `detailed`, items that agree are counted, not listed."""
    style = style_for(color=color)
    kind, words = _HEADLINES[report.verdict]
    lines = [
        f"{report.name} @ {report.target}: {style(kind, words)}",
        *textwrap.wrap(
            f"{report.server} at {report.endpoint}{_observed(report)}",
            WIDTH,
            initial_indent=INDENT,
            subsequent_indent=INDENT * 2,
            break_on_hyphens=False,
            break_long_words=False,
        ),
    ]
    for area, title in _AREAS:
        shown = [item for item in report.of_area(area) if detailed or item.verdict is DriftVerdict.DRIFTED]
        if shown:
            rows = _places(shown, style) if report.subject in ("cluster", "folder") else _area(shown, style)
            lines += ["", heading(title, style), *rows]
    if report.objectives:
        lines += ["", heading("objectives", style), *_objectives(report.objectives, style)]
    if report.plan is not None:
        asked = "was recorded" if report.subject == "trace" else "the server is asked"
        lines += ["", heading(f"the plan no longer fits what {asked}", style), *_plan(report.plan, style)]
    lines += ["", *_summary(report, style, detailed=detailed)]
    return "\n".join(lines)


def _observed(report: DriftReport) -> str:
    """What was seen of requests, behind a comma; nothing where none are looked at."""
    count = f", {report.requests} request{'' if report.requests == 1 else 's'}"
    match report.subject:
        case "cluster" | "folder":
            return ""
        case "trace":
            return f"{count} in {_span(report.duration_s or 0.0)}"
        case "device":
            return ", nothing was measured there" if report.duration_s is None else f", accepted with{count[1:]}"
        case "server" if report.is_since_start:
            ago = "" if report.duration_s is None else f" {_span(report.duration_s)} ago"
            return f"{count} finished since it started{ago}"
        case "server":
            return f"{count} finished in {report.duration_s or 0.0:.0f} s"
        case _:
            assert_never(report.subject)


def _span(seconds: float) -> str:
    """`45 s`, `12 min`, `5 h`, `3 days`.

    >>> _span(45), _span(720), _span(18000), _span(259200)
    ('45 s', '12 min', '5 h', '3 days')
    """
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86400:.0f} days"


def _area(shown: Sequence[DriftItem], style: Style) -> Iterator[str]:
    rows = [["", "expected", "seen", "verdict"]]
    rows += [
        [
            item.name,
            _cell(item.expected, item.unit),
            "-" if item.observed is None else _cell(item.observed, item.unit),
            style(_COLORS[item.verdict], item.verdict.value),
        ]
        for item in shown
    ]
    yield from table(rows)
    yield from bullets(_by_note([(item.name, item.note) for item in shown if item.verdict is DriftVerdict.DRIFTED]))


def _places(shown: Sequence[DriftItem], style: Style) -> Iterator[str]:
    """Files and fields have long names and values: one below the other."""
    for item in shown:
        yield f"{INDENT * 2}{inert(item.name)}: {style(_COLORS[item.verdict], item.verdict.value)}"
        if item.verdict is DriftVerdict.DRIFTED:
            for label, value in (("expected", item.expected), ("seen", item.observed), ("", item.note or None)):
                if value is not None:
                    yield from _wrapped(f"{label:<9} ", str(value))


def _wrapped(label: str, text: str) -> list[str]:
    first, others = INDENT * 3 + label, INDENT * 3 + " " * len(label)
    lines = textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)
    return list(map(inert, lines))


def _by_note(noted: Sequence[tuple[str, str]]) -> list[str]:
    """`name, name: note`, each note once."""
    names: dict[str, list[str]] = {}
    for name, note in noted:
        if note:
            names.setdefault(note, []).append(name)
    return [f"{', '.join(each)}: {note}" for note, each in names.items()]


def _cell(value: object, unit: str) -> str:
    text = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    if isinstance(value, float):
        text = f"{value:.4g}"
    is_said = not unit or (isinstance(value, str) and unit in value)
    words = text if is_said else f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"
    if len(words) <= _MAX_CELL:
        return words
    return (
        textwrap.shorten(words, _MAX_CELL, placeholder="...")
        if " " in words[:_MAX_CELL]
        else words[: _MAX_CELL - 3] + "..."
    )


def _objectives(objectives: Sequence[ObjectiveItem], style: Style) -> Iterator[str]:
    rows = [["", "limit", "predicted", f"seen ({objectives[0].confidence:.0%})", "within the limit", "verdict"]]
    for each in objectives:
        rows.append(
            [
                f"{each.metric} {each.label}",
                f"{_ms(each.limit_s)} ms",
                "-" if each.predicted_s is None else f"{_ms(each.predicted_s)} ms",
                _range(each),
                _within(each),
                style(_COLORS[each.verdict], each.verdict.value),
            ]
        )
    yield from table(rows)
    yield from bullets(_by_note([(f"{each.metric} {each.label}", each.note) for each in objectives]))


def _range(each: ObjectiveItem) -> str:
    if each.low_s is None or each.high_s is None:
        return "-"
    if math.isinf(each.high_s):
        return f"over {_ms(each.low_s)} ms" if each.low_s else "not bounded"
    return f"{_ms(each.low_s)} to {_ms(each.high_s)} ms"


def _within(each: ObjectiveItem) -> str:
    if not each.requests:  # or their number is not known: an edge device states percentiles
        return "-"
    if each.fewest_within == each.most_within:
        return f"{each.fewest_within} of {each.requests}"
    return f"{each.fewest_within} to {each.most_within} of {each.requests}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4g}"


def _plan(plan: ObservedPlan, style: Style) -> Iterator[str]:
    seen = "; ".join(f"{name} {value}" for name, value in plan.workload.items())
    yield from wrapped_row("workload", seen, style)
    locked = _choice(plan.locked_candidate, plan.locked_replicas, plan.locked_usd_per_month)
    yield from wrapped_row("locked", locked, style)
    if plan.candidate is None:
        yield from wrapped_row("plan now", plan.choice, style)
    else:
        yield from wrapped_row("plan now", _choice(plan.candidate, plan.replicas, plan.usd_per_month), style)
        if plan.candidate == plan.locked_candidate and plan.replicas == plan.locked_replicas:
            yield from wrapped_row("", "what is locked still is the best, but its margins are other ones", style)
        change = plan.usd_per_month_change
        if change is not None and abs(change) >= _LEAST_USD:
            yield from wrapped_row("difference", f"{'+' if change >= 0 else '-'}${abs(change):,.0f} a month", style)


def _choice(candidate: str, replicas: int | None, usd_per_month: float | None) -> str:
    count = f"{replicas} replica{'' if replicas == 1 else 's'}"
    cost = "" if usd_per_month is None else f", ${usd_per_month:,.0f} a month"
    return f"{candidate}, {count}{cost}"


def _summary(report: DriftReport, style: Style, *, detailed: bool) -> Iterator[str]:
    counts = {verdict: sum(item.verdict is verdict for item in report.items) for verdict in DriftVerdict}
    yield INDENT + ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
    hidden = [item for item in report.items if item.verdict is DriftVerdict.NOT_VISIBLE]
    if hidden:
        yield f"{INDENT}{style('dim', 'not visible:')}"
        yield from bullets(_by_note([(item.name, item.note) for item in hidden]))
    for note in report.notes:
        yield from textwrap.wrap(f"note: {note}", WIDTH, initial_indent=INDENT, subsequent_indent=INDENT * 2)
    if report.plan is not None:
        words = "help: put what is seen into the spec's workload, and `infc plan` it"
        yield from textwrap.wrap(words, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT * 2)
    elif any(item.area == "deployment" for item in report.drifted):
        words = _HELP.get(report.subject, _HELP["server"])
        yield from textwrap.wrap(words, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT * 2)
    if not detailed and counts[DriftVerdict.SAME]:
        yield f"{INDENT}{style('dim', '--detailed lists what agrees, too')}"
