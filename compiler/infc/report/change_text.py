"""Changes against a base as text: one block a deployment, the inputs that changed, the effect of each, the totals.

Fits 80 columns, whatever the terminal has.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import replace

from infc.ir.accuracy import is_lower_better
from infc.ir.change import ChangedInput, ChangeSet, DeploymentChange, Effect, Evidence, Figure
from infc.report import layout
from infc.report.diff_text import SYMBOLS
from infc.report.layout import Style, style_for

WIDTH = 80
_INDENT = "    "
_LABEL = 13
_MOST_INPUTS = 8
_LIMIT_COLUMN = 52


def render_changes_text(changes: ChangeSet, *, color: bool) -> str:
    """Every deployment that differs, then the counts, what is promised, and the cost before and after."""
    style = style_for(color=color)
    blocks = ["\n".join(map(layout.inert, _block(each, style))) for each in changes.changes if is_shown(each)]
    head = style("bold", f"Changes against {inert(changes.base)}")
    return "\n".join([head, "", *(f"{block}\n" for block in blocks), *_totals(changes, style)])


def is_shown(change: DeploymentChange) -> bool:
    """Whether a reader should see a deployment by itself: it differs, or it has no plan, or a policy speaks of it."""
    return change.action != "unchanged" or change.status != "feasible" or bool(change.policy)


def headline(changes: ChangeSet) -> str:
    """The counts in one sentence.

    >>> headline(ChangeSet(base="infc.lock", digest="", changes=()))
    'Plan: no changes, 0 unchanged.'
    """
    planned = replace(changes, changes=tuple(c for c in changes.changes if not _has_no_plan(c)))
    counts, builds = planned.counts, changes.engine_builds
    changed = counts["changed"] + counts["rebuilt"]
    parts = [f"{count} to {verb}" for count, verb in ((counts["added"], "add"), (changed, "change")) if count]
    if parts and builds:
        parts[-1] += f" ({builds} engine build{'s' if builds != 1 else ''})"
    if counts["removed"]:
        parts.append(f"{counts['removed']} to remove")
    refused = len(changes.changes) - len(planned.changes)
    if refused:
        parts.append(f"{refused} without a plan")
    unchanged = f"{counts['unchanged']} unchanged"
    return f"Plan: {', '.join([*(parts or ['no changes']), unchanged])}."


def _has_no_plan(change: DeploymentChange) -> bool:
    return change.status in ("infeasible", "invalid")


def money_line(changes: ChangeSet) -> str:
    """What all deployments cost a month, before and after; nothing where no price is known."""
    before, after = changes.usd_per_month_before, changes.usd_per_month_after
    if not before and not after:
        return ""
    if round(before, 2) == round(after, 2):
        return f"Cost: ${after:,.0f} a month, as before."
    sign = "+" if after > before else "-"
    return f"Cost: ${before:,.0f} -> ${after:,.0f} a month ({sign}${abs(after - before):,.0f})."


def promise_line(changes: ChangeSet) -> str:
    """How many promises hold, and how many of them rest on no measurement; nothing where nothing changed."""
    count = len(changes.promises)
    if not count:
        return ""
    words = [f"SLO: {changes.met} of {count} limits met"]
    if changes.by_estimate:
        words.append(f"{changes.by_estimate} by estimate only")
    unknown = sum(effect.is_met is None for effect in changes.promises)
    if unknown:
        words.append(f"{unknown} known after the build")
    return ", ".join(words) + "."


def _totals(changes: ChangeSet, style: Style) -> Iterator[str]:
    yield from (style("bold", line) for line in textwrap.wrap(headline(changes), WIDTH))
    yield from filter(None, (promise_line(changes), money_line(changes)))
    if changes.engine_builds:
        yield "Known after the build: engines, and what is measured with them."


def _block(change: DeploymentChange, style: Style) -> Iterator[str]:
    symbol, hue = SYMBOLS[change.action]
    if _has_no_plan(change):
        symbol, hue = "!", "red"
    label, spec = inert(change.label), inert(change.spec)
    if len(f"{symbol} {label}  {spec}") <= WIDTH:
        yield f"{style(hue, symbol)} {style('bold', label)}  {style('dim', spec)}"
    else:
        yield f"{style(hue, symbol)} {style('bold', label)}"
        yield f"{_INDENT}{style('dim', spec)}"
    for index, changed in enumerate(change.inputs[:_MOST_INPUTS]):
        yield from _row("why" if index == 0 else "", input_words(changed, change.spec), style)
    if len(change.inputs) > _MOST_INPUTS:
        yield from _row("", f"and {len(change.inputs) - _MOST_INPUTS} more inputs", style)
    for effect in change.effects:
        yield from _effect(effect, style)
    if change.files:
        actions = [file.action for file in change.files]
        counted = [f"{actions.count(action)} {action}" for action in dict.fromkeys(sorted(actions))]
        yield from _row("files", ", ".join(counted), style)
    for finding in change.policy:
        threshold = finding.threshold
        words = f"{threshold.rule} {threshold.written}: {finding.predicted} ({finding.outcome}, {threshold.action})"
        yield from _row("policy", words, style)
    for sentence in change.words:
        yield from _row("note", sentence, style)


def input_words(changed: ChangedInput, spec: str) -> str:
    """`slo.latency.p99 12ms -> 7ms (line 12)`."""
    name = {"spec": changed.path or "the spec"}.get(changed.kind, f"{changed.kind} {changed.path}")
    if changed.old is None and changed.new is None:
        words = name
    elif changed.old is None:
        words = f"{name}: {changed.new} (new)"
    elif changed.new is None:
        words = f"{name}: {changed.old} -> gone"
    else:
        words = f"{name}: {changed.old} -> {changed.new}"
    if changed.kind != "spec" or changed.line is None or changed.path in ("", "file"):
        return words
    return f"{words} ({f'line {changed.line}' if changed.file == spec else f'{changed.file}:{changed.line}'})"


def _effect(effect: Effect, style: Style) -> Iterator[str]:
    label = effect.label if len(effect.label) <= _LABEL else effect.id.rpartition(".")[2].replace("_", " ")
    told = effect.new or effect.old
    assert told is not None  # noqa: S101 - an effect has at least one side
    beside = []
    if effect.limit is not None:
        beside.append(_limit_words(effect, effect.limit, style))
    if told.evidence is not Evidence.CHOSEN and told.value is not None:
        beside.append(style("dim", told.evidence.value))
    yield from _row(label, change_words(effect), style, "  ".join(beside))


def change_words(effect: Effect) -> str:
    """`16 -> 8`, or the one value where both are the same or one side has none; with the interval of the new one."""
    old, new = effect.old, effect.new
    if new is None:
        return figure_words(old)
    if new.value is None:
        return "not measured yet" if old is None or old.value is None else f"{figure_words(old)} -> not measured yet"
    words = figure_words(new)
    if old is not None and old.value is not None and old.value != new.value:
        before = figure_words(old)
        shared = _UNIT_WORDS.get(new.unit, f" {new.unit}") if new.unit and old.unit == new.unit else ""
        words = f"{before.removesuffix(shared) if shared else before} -> {words}"
    if new.low is not None and new.high is not None:
        low, high = _number(new.low, new.unit), _number(new.high, new.unit)
        words += f" ({low} .. {high})" if low != high else ""
    return words


_UNIT_WORDS = {"USD/month": " a month", "%": "%"}


def figure_words(figure: Figure | None) -> str:
    """A value with its unit: `6.4 ms`, `$1,022 a month`, `int8`."""
    if figure is None or figure.value is None:
        return "none"
    if isinstance(figure.value, bool):
        return "yes" if figure.value else "no"
    if isinstance(figure.value, str):
        return figure.value
    number = _number(float(figure.value), figure.unit)
    return number + _UNIT_WORDS.get(figure.unit, f" {figure.unit}" if figure.unit else "")


def _number(value: float, unit: str) -> str:
    if unit == "USD/month":
        return f"${value:,.0f}" if abs(value) >= 100 else f"${value:,.2f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if unit else f"{value:.4g}"


def _limit_words(effect: Effect, limit: float, style: Style) -> str:
    figure = effect.new
    known = figure if figure is not None else effect.old
    unit = known.unit if known is not None else ""
    is_most = effect.id != "accuracy" or is_lower_better(effect.label)
    shown = figure_words(Figure(value=limit, unit=unit)).removesuffix(" a month")
    verdict = {True: ("green", "ok"), False: ("red", "missed"), None: ("yellow", "?")}[effect.is_met]
    if effect.is_met and figure is not None:
        bound = figure.high if is_most else figure.low
        if bound is not None and (bound > limit if is_most else bound < limit):
            verdict = ("yellow", "likely")
    return f"{'<=' if is_most else '>='} {shown} {style(*verdict)}"


def inert(text: str) -> str:
    r"""The text with what would steer a terminal written out.

    >>> inert("a" + chr(27) + "[31m")
    'a\\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _row(label: str, text: str, style: Style, beside: str = "") -> Iterator[str]:
    """A label, a text, and in a column of its own what stands beside it; too long ones go on below."""
    import click

    start = f"{_INDENT}{inert(label)[:_LABEL]:<{_LABEL}} "
    first, *rest = textwrap.wrap(inert(text), WIDTH - len(start), break_on_hyphens=False) or [""]
    lines = [start + first, *(" " * len(start) + line for line in rest)]
    head = style("dim", lines[0][: len(start)]) + lines[0][len(start) :]
    if not beside:
        yield head
        yield from lines[1:]
        return
    width = len(click.unstyle(beside))
    column = max(_LIMIT_COLUMN, len(lines[0]) + 2)
    if len(lines) == 1 and column + width <= WIDTH:
        yield head + " " * (column - len(lines[0])) + beside
        return
    yield head
    yield from lines[1:]
    yield " " * min(_LIMIT_COLUMN, WIDTH - width) + beside
