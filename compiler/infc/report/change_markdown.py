"""What a change does to its deployments, as the comment of a pull request.

The comment has a size limit (GitHub takes 65,536 characters). What does not fit is left out whole, the least important
first: details of small changes, then their rows; never half a row or an open tag.

Source: GitHub Docs, "Organizing information with collapsed sections"; GitHub Flavored Markdown 0.29, 4.10 and 4.6.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from infc import __version__
from infc.ir.change import ChangeSet, DeploymentChange
from infc.plan.words import counted, month_text
from infc.report.change_details import brief_details, full_details
from infc.report.change_words import (
    ACTION_VERBS,
    before_after,
    cost_delta,
    evidence_words,
    has_no_plan,
    is_choice,
    is_promise,
    limit_words,
    signed_month,
    symbol,
)
from infc.report.markdown_text import code, inline
from infc.report.plan_review import policy_words

COMMENT_LIMIT = 60_000
SMALLEST_LIMIT = 2_000
MARKER_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_URL = re.compile(r"https?://[A-Za-z0-9][^\s<>()\[\]|\"'`\\*]*")
_TABLE_HEAD = "\n".join(["| | deployment | what changes | what is promised | cost |", "|:-:|---|---|---|---|"])
_ROOM_FOR_NOTES = 400
_ROOM_FOR_FOOTER = 800
_LONGEST_URL = 200
_NOTES = 4
_MOST_PROBLEMS = 20


def marker_line(marker: str) -> str:
    """The hidden first line by which a later run finds its comment.

    >>> marker_line("prod")
    '<!-- infc-plan:prod -->'

    Raises:
        ValueError: not letters, digits, dots, hyphens and underscores, at most 64.
    """
    if not re.fullmatch(MARKER_PATTERN, marker) or "--" in marker:
        raise ValueError(f"{marker!r} cannot name a comment")
    return f"<!-- infc-plan:{marker} -->"


def render_comment(
    sets: Sequence[ChangeSet], *, marker: str, limit: int = COMMENT_LIMIT, details_url: str | None = None
) -> str:
    """GitHub Flavored Markdown of at most `limit` characters, which GitLab reads too.

    `marker` names the comment among those of one pull request; `details_url` leads to where the whole plan is (an
    address that is none is left out).

    Raises:
        ValueError: `limit` is under `SMALLEST_LIMIT`, or `marker` cannot name a comment.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(f"a comment of at most {limit} characters holds nothing")
    changes = [change for each in sets for change in each.changes]
    rest = details_url if details_url is not None and _is_address(details_url) else None
    head = [marker_line(marker), f"## infc plan: {headline(sets)}", *_summary(sets)]
    foot = _footer(sets, rest)
    room = limit - len("\n\n".join([*head, _TABLE_HEAD, foot])) - _ROOM_FOR_NOTES - _NOTES * len(rest or "")
    problems = _problems(changes, room // 2, rest)
    room -= sum(len(part) + 2 for part in problems)
    shown = sorted((change for change in changes if change.action != "unchanged"), key=_importance)
    rows, room = _fitting([_row(change) for change in shown], room)
    left_out = _left_out("change", len(shown) - len(rows), rest)
    table = ["\n".join([_TABLE_HEAD, *rows])] if rows else []
    details = _details(shown[: len(rows)], room, rest)
    return "\n\n".join([*head, *problems, *table, *left_out, *details, foot]) + "\n"


def headline(sets: Sequence[ChangeSet]) -> str:
    """How many deployments change how.

    >>> headline([])
    'no changes'
    """
    changes = [change for each in sets for change in each.changes]
    planned = [change.action for change in changes if not has_no_plan(change)]
    parts = [f"{planned.count(action)} to {verb}" for action, verb in ACTION_VERBS.items() if action in planned]
    parts += [f"{len(changes) - len(planned)} without a plan"] if len(planned) < len(changes) else []
    unchanged = planned.count("unchanged")
    return ", ".join([*(parts or ["no changes"]), *([f"{unchanged} unchanged"] if unchanged else [])])


def _summary(sets: Sequence[ChangeSet]) -> list[str]:
    """The cost before and after, and how many promises hold."""
    lines = []
    before = sum(each.usd_per_month_before for each in sets)
    after = sum(each.usd_per_month_after for each in sets)
    unpriced = sum(_is_unpriced(change) for each in sets for change in each.changes)
    without = f", without {counted(unpriced, 'deployment')} of unknown price" if unpriced else ""
    if before or after:
        shown = month_text(before) if abs(after - before) < 0.005 else f"{month_text(before)} → {month_text(after)}"
        lines.append(f"**Cost** {inline(shown)} ({inline(signed_month(after - before))}{without})")
    judged = sum(len(each.promises) for each in sets)
    if judged:
        estimated = sum(each.by_estimate for each in sets)
        estimate = f", {estimated} by estimate only" if estimated else ""
        lines.append(f"**SLO** {sum(each.met for each in sets)} of {judged} limits met{estimate}")
    return ["<br>\n".join(lines)] if lines else []


def _is_unpriced(change: DeploymentChange) -> bool:
    return not has_no_plan(change) and cost_delta(change) is None


def _problems(changes: Sequence[DeploymentChange], room: int, rest: str | None) -> list[str]:
    """What a reviewer must not overlook, above everything else: refused first, then warned of."""
    refused = list(chain.from_iterable(_refusals(change) for change in changes))
    warned = list(chain.from_iterable(_warnings(change) for change in changes))
    parts = []
    for title, lines in (("CAUTION", refused), ("WARNING", warned)):
        kept, room = _fitting([f"> - {line}" for line in lines[:_MOST_PROBLEMS]], room)
        more = _left_out("problem", len(lines) - len(kept), rest)
        if lines:
            parts.append("\n".join([f"> [!{title}]", *kept, *(f"> - {line}" for line in more)]))
    return parts


def _refusals(change: DeploymentChange) -> list[str]:
    said = inline("; ".join(change.words[:2])) if change.words else ""
    lines = []
    if change.status == "invalid":
        lines.append(f"{code(change.label)} is invalid{': ' + said if said else ''}")
    if change.status == "infeasible":
        lines.append(f"{code(change.label)} cannot meet its objective{': ' + said if said else ''}")
    lines += [
        f"{code(change.label)} is refused by the policy: {inline(policy_words(finding))}"
        for finding in change.policy
        if finding.is_failure
    ]
    if change.status == "feasible":
        lines += [
            f"{code(change.label)} misses {inline(effect.label)}: {inline(before_after(effect, arrow='→'))}"
            f" {inline(limit_words(effect))}"
            for effect in change.effects
            if effect.is_met is False
        ]
    return lines


def _warnings(change: DeploymentChange) -> list[str]:
    words = {"violated": "is beyond a threshold of the policy", "unknown": "cannot be judged by the policy"}
    return [
        f"{code(change.label)} {words[finding.outcome]}: {inline(policy_words(finding))}"
        for finding in change.policy
        if not finding.is_failure
    ]


def _importance(change: DeploymentChange) -> tuple[bool, int, float, str]:
    """Sort key: what is refused, then by kind of change, then the most money."""
    order = ("rebuilt", "changed", "added", "removed")
    is_refused = has_no_plan(change) or any(finding.is_failure for finding in change.policy)
    money = abs(cost_delta(change) or 0.0)
    return (not is_refused, order.index(change.action) if change.action in order else len(order), -money, change.label)


def _row(change: DeploymentChange) -> str:
    cells = [symbol(change), code(change.label), _what(change), _promised(change), _cost(change)]
    return f"| {' | '.join(cells)} |"


def _what(change: DeploymentChange) -> str:
    if has_no_plan(change):
        said = f": {inline(change.words[0])}" if change.words else ""
        return f"**{change.status}**{said}"
    if change.action == "removed":
        return "removed"
    chosen = [effect for effect in change.effects if is_choice(effect) and effect.is_changed]
    parts = [f"{inline(effect.label)} {inline(before_after(effect, arrow='→'))}" for effect in chosen]
    if change.action == "rebuilt" and not any(effect.id == "engine" for effect in chosen):
        parts.append("engine: another one" + (", known after the build" if change.is_pending else ""))
    if not parts:
        parts = [f"{counted(len(change.inputs), 'input')} only, same decision" if change.inputs else "same decision"]
    return "<br>".join(parts)


def _promised(change: DeploymentChange) -> str:
    if change.status != "feasible":
        return "-"
    parts = []
    for effect in change.effects:
        if not is_promise(effect) or effect.new is None:
            continue
        words = f"{inline(effect.label)} {inline(before_after(effect, arrow='→'))} {inline(limit_words(effect))}"
        evidence = evidence_words(effect)
        missed = "**" if effect.is_met is False else ""
        parts.append(f"{missed}{words.strip()}{missed}" + (f" ({inline(evidence)})" if evidence else ""))
    return "<br>".join(parts) or "-"


def _cost(change: DeploymentChange) -> str:
    if has_no_plan(change):
        return "-"
    delta = cost_delta(change)
    if delta is None:
        return "unknown"
    if change.action in ("added", "removed"):
        return inline(signed_month(delta))
    before, after = change.usd_per_month_before or 0.0, change.usd_per_month_after or 0.0
    if abs(delta) < 0.005:
        return inline(month_text(after))
    return f"{inline(month_text(before))} → {inline(month_text(after))}<br>({inline(signed_month(delta))})"


@dataclass(frozen=True, kw_only=True)
class _Folded:
    text: str
    is_whole: bool


def _details(changes: Sequence[DeploymentChange], room: int, rest: str | None) -> list[str]:
    """Each change folded: brief for all that fit first, then whole for as many as there is room for."""
    folded: list[_Folded] = []
    for change in changes:
        text = brief_details(change)
        if len(text) + 2 > room:
            break
        folded.append(_Folded(text=text, is_whole=False))
        room -= len(text) + 2
    for index, change in enumerate(changes[: len(folded)]):
        whole = full_details(change)
        more = len(whole) - len(folded[index].text)
        if more <= room:
            folded[index] = _Folded(text=whole, is_whole=True)
            room -= more
    missing = len(changes) - len(folded)
    shortened = sum(not each.is_whole for each in folded)
    notes = [
        *([f"{counted(missing, 'change')} without details"] if missing else []),
        *([f"{counted(shortened, 'change')} shortened"] if shortened else []),
    ]
    note = [f"_{' and '.join(notes)} here; everything is in {_rest(rest)}._"] if notes else []
    return [*(each.text for each in folded), *note]


def _fitting(lines: Sequence[str], room: int) -> tuple[list[str], int]:
    """As many of the first lines as fit, and the room that is left."""
    kept: list[str] = []
    for line in lines:
        if len(line) + 1 > room:
            break
        kept.append(line)
        room -= len(line) + 1
    return kept, room


def _left_out(noun: str, count: int, rest: str | None) -> list[str]:
    return [f"_{count} more {noun}{'s' if count != 1 else ''} in {_rest(rest)}._"] if count > 0 else []


def _rest(rest: str | None) -> str:
    return "the plan's artifact" if rest is None else f"[the plan's artifact]({rest})"


def _is_address(text: str) -> bool:
    return len(text) <= _LONGEST_URL and _URL.fullmatch(text) is not None


def _footer(sets: Sequence[ChangeSet], rest: str | None) -> str:
    """Which plan this is: a saved plan is applied only while its digest holds."""
    plans, _ = _fitting([f"plan {code(each.digest)} against {code(each.base)}" for each in sets], _ROOM_FOR_FOOTER)
    more = [f"{counted(len(sets) - len(plans), 'plan')} more"] if len(plans) < len(sets) else []
    link = [] if rest is None else [_rest(rest)]
    return f"<sub>{' · '.join([*plans, *more, *link, f'infc {inline(__version__)}'])}</sub>"
