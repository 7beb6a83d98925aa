"""What a change does, as diagnostics at the lines that changed: for SARIF, GitHub's annotations and GitLab's report."""

from collections.abc import Iterator, Sequence

from infc.diag import Diagnostic, Severity, Span
from infc.ir.change import ChangedInput, ChangeSet, DeploymentChange, Effect, Evidence
from infc.plan.words import counted
from infc.report.change_words import (
    before_after,
    cost_delta,
    has_no_plan,
    is_choice,
    is_promise,
    limit_words,
    signed_month,
)
from infc.report.plan_review import policy_words

_MOST_LINES = 5
"""Lines of one deployment that are annotated; a spec written anew would fill the page otherwise."""
_DONE = {"added": "is added", "changed": "changes", "rebuilt": "is rebuilt", "removed": "is removed"}
_ESTIMATES = (Evidence.ANALYTIC, Evidence.CALIBRATED)


def annotations(sets: Sequence[ChangeSet]) -> tuple[Diagnostic, ...]:
    """Errors first, then what each changed line does, then the promises that rest on estimates; in each, lines first.

    Every diagnostic has a place, as GitHub's code scanning wants: that of the changed line, or the head of the spec.
    """
    changes = sorted((change for each in sets for change in each.changes), key=_has_no_line)
    found = (
        *(each for change in changes for each in _problems(change)),
        *(each for change in changes for each in _effects(change)),
        *(each for change in changes for each in _estimates(change)),
    )
    return tuple(dict.fromkeys(found))


def _has_no_line(change: DeploymentChange) -> bool:
    return not any(each.file is not None and each.line is not None for each in change.inputs)


def _problems(change: DeploymentChange) -> Iterator[Diagnostic]:
    place = _place(change)
    match change.status:
        case "infeasible":
            yield Diagnostic(
                id="change-infeasible",
                message=f"{change.label} cannot meet its objective",
                span=place,
                notes=change.words,
                help=f"infc plan {change.spec} lists the smallest changes that make it feasible",
            )
        case "invalid":
            yield Diagnostic(
                id="change-invalid",
                message=f"{change.label} has no plan",
                span=place,
                notes=change.words,
                help=f"infc check {change.spec} names every error",
            )
        case "feasible":
            for effect in change.effects:
                if effect.is_met is False:
                    yield Diagnostic(
                        id="change-infeasible",
                        message=f"{change.label} misses its {effect.label}: {_figure(effect)}",
                        span=place,
                    )
    for finding in change.policy:
        word = "cannot be judged by" if finding.outcome == "unknown" else "is beyond"
        yield Diagnostic(
            id="policy-violated",
            severity=Severity.ERROR if finding.is_failure else Severity.WARNING,
            message=f"the plan of {change.label} {word} {policy_words(finding)}",
            span=place,
            help="change the spec until its plan keeps the threshold, or the threshold",
        )


def _effects(change: DeploymentChange) -> Iterator[Diagnostic]:
    """One diagnostic for each changed line; one at the head of the spec where no line is known."""
    if change.action == "unchanged" or has_no_plan(change):
        return
    located = [each for each in change.inputs if each.file is not None and each.line is not None]
    shown = located[: 1 if change.action == "added" else _MOST_LINES]
    for each in shown:
        yield _effect(change, each)
    if not shown:
        yield _effect(change, None)


def _effect(change: DeploymentChange, changed: ChangedInput | None) -> Diagnostic:
    others = len(change.inputs) - (changed is not None)
    together = f"together with {counted(others, 'other changed input')}" if changed is not None and others else ""
    notes = [together, *(_input(each) for each in change.inputs if changed is None), *change.words]
    return Diagnostic(
        id="change-effect",
        severity=Severity.NOTE,
        message=f"{change.label} {_DONE[change.action]}{_consequences(change)}",
        span=_place(change) if changed is None else _span(changed),
        label=_input(changed) if changed is not None and change.action != "added" else "",
        notes=tuple(note for note in notes if note),
    )


def _consequences(change: DeploymentChange) -> str:
    chosen = [effect for effect in change.effects if is_choice(effect) and effect.is_changed]
    promised = [e for e in change.effects if is_promise(e) and e.new is not None and e.id != "cost"]
    parts = [f"{effect.label} {_figure(effect)}" for effect in (*chosen, *promised)]
    if change.action == "removed":
        parts = []
    delta = cost_delta(change)
    parts += [] if delta is None else [f"cost {signed_month(delta)}"]
    return f": {', '.join(parts)}" if parts else ""


def _estimates(change: DeploymentChange) -> Iterator[Diagnostic]:
    if change.action in ("unchanged", "removed") or change.status != "feasible":
        return
    open_ones = [
        effect
        for effect in change.effects
        if effect.limit is not None and effect.new is not None and effect.new.evidence in _ESTIMATES
    ]
    if open_ones:
        said = ", ".join(f"{effect.label} {_figure(effect)}" for effect in open_ones)
        bases = ", ".join(dict.fromkeys(effect.new.evidence.value for effect in open_ones if effect.new))
        yield Diagnostic(
            id="change-estimate",
            severity=Severity.NOTE,
            message=f"{change.label}: {said} by estimate only ({bases})",
            span=_place(change),
            help="infc validate on the device measures it",
        )


def _figure(effect: Effect) -> str:
    return f"{before_after(effect)} {limit_words(effect)}".rstrip()


def _input(changed: ChangedInput) -> str:
    sides = [side for side in (changed.old, changed.new) if side is not None]
    return f"{changed.kind} {changed.path}" + (f": {' -> '.join(sides)}" if sides else "")


def _place(change: DeploymentChange) -> Span:
    """The first line of the deployment that changed, else the head of its spec."""
    located = next((each for each in change.inputs if each.file is not None and each.line is not None), None)
    if located is not None:
        return _span(located)
    return Span(path=change.spec, line=1, column=1, end_line=1, end_column=2)


def _span(changed: ChangedInput) -> Span:
    line, column = changed.line or 1, changed.column or 1
    return Span(path=changed.file or "", line=line, column=column, end_line=line, end_column=column + 1)
