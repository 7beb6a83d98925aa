"""The folded part of a pull-request comment: which input changed, what it does, files, policy."""

from collections.abc import Iterator, Sequence

from infc.ir.change import ChangedInput, DeploymentChange, Effect, Figure
from infc.report.change_words import (
    evidence_words,
    figure_words,
    has_no_plan,
    interval_words,
    is_promise,
    limit_words,
    symbol,
)
from infc.report.markdown_text import code, code_element, html_words, inline
from infc.report.plan_review import policy_words

_MOST_LINES = 50
_ACTIONS = {
    "added": "is new",
    "changed": "keeps its engine",
    "rebuilt": "needs another engine",
    "removed": "is no longer in the specs",
    "unchanged": "stays",
}


def full_details(change: DeploymentChange) -> str:
    """Everything that is known of one change, folded."""
    return _folded(change, [*_words(change), *_inputs(change), *_effects(change), *_files(change), *_policy(change)])


def brief_details(change: DeploymentChange) -> str:
    """The inputs and what changed by them, folded."""
    effects = [effect for effect in change.effects if effect.is_changed or effect.is_met is False]
    return _folded(change, [*_inputs(change), *_effect_rows(effects, has_intervals=False)])


def _folded(change: DeploymentChange, parts: Sequence[str]) -> str:
    outcome = "has no plan" if has_no_plan(change) else _ACTIONS[change.action]
    summary = f"{symbol(change)} {code_element(change.label)} {html_words(outcome)}"
    body = parts or ["Nothing more is known of it."]
    return "\n\n".join([f"<details>\n<summary>{summary}</summary>", *body, "</details>"])


def _words(change: DeploymentChange) -> list[str]:
    return _listed([inline(sentence) for sentence in change.words])


def _inputs(change: DeploymentChange) -> list[str]:
    if not change.inputs:
        return [f"Spec {code(change.spec)}"]
    return ["**What changed**", *_listed([_input(each) for each in change.inputs])]


def _input(each: ChangedInput) -> str:
    match each.old, each.new:
        case None, None:
            change = ""
        case None, str(new):
            change = f": {code(new)} is new"
        case str(old), None:
            change = f": {code(old)} is gone"
        case str(old), str(new):
            change = f": {code(old)} → {code(new)}"
    place = ""
    if each.file is not None and each.line is not None:
        place = f" ({code(f'{each.file}:{each.line}')})"
    elif each.file is not None and each.file != each.path:
        place = f" ({code(each.file)})"
    return f"{inline(each.kind)} {code(each.path)}{change}{place}"


def _effects(change: DeploymentChange) -> list[str]:
    return list(_effect_rows(change.effects, has_intervals=True))


def _effect_rows(effects: Sequence[Effect], *, has_intervals: bool) -> Iterator[str]:
    if not effects:
        return
    rows = ["| | before | after | promised | evidence |", "|---|---|---|---|---|"]
    for effect in effects:
        evidence = evidence_words(effect) if is_promise(effect) or evidence_words(effect) != "chosen" else ""
        cells = [
            inline(effect.label),
            _figure(effect.old, has_interval=has_intervals),
            _figure(effect.new, has_interval=has_intervals),
            inline(limit_words(effect)) or "-",
            inline(evidence) or "-",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    yield "\n".join(rows)


def _figure(figure: Figure | None, *, has_interval: bool) -> str:
    if figure is None:
        return "-"
    interval = interval_words(figure) if has_interval else ""
    return inline(figure_words(figure)) + (f" ({inline(interval)})" if interval else "")


def _files(change: DeploymentChange) -> list[str]:
    if not change.files:
        return []
    return ["**Files**", *_listed([f"{each.action} {code(each.path)}" for each in change.files])]


def _policy(change: DeploymentChange) -> list[str]:
    if not change.policy:
        return []
    return ["**Policy**", *_listed([inline(policy_words(finding)) for finding in change.policy])]


def _listed(lines: Sequence[str]) -> list[str]:
    """One list; the end of a very long one is counted."""
    if not lines:
        return []
    more = [f"- {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return ["\n".join([*(f"- {line}" for line in lines[:_MOST_LINES]), *more])]
