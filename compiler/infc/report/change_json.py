"""A change set as JSON values and back: what `infc plan --format json` adds, and what a report of a saved plan reads.

Everything here is additive to the fixed shape of the plan: top-level `base`, `digest` and `changes`.
"""

from collections.abc import Mapping
from typing import Any, get_args

from infc.diag import Span
from infc.ir.change import (
    Cell,
    ChangeAction,
    ChangedInput,
    ChangeSet,
    DeploymentChange,
    Effect,
    EmittedFile,
    Evidence,
    Figure,
    InputKind,
)
from infc.ir.policy import PolicyFinding, Threshold
from infc.report.json_values import Json


class ChangeFormatError(ValueError):
    """A document that is not what `change_set_to_json` writes; the message says where."""


def change_set_to_json(changes: ChangeSet) -> dict[str, Json]:
    """`base`, `digest` and `changes` of the report."""
    rows: list[Json] = [change_to_json(change) for change in changes.changes]
    return {"base": changes.base, "digest": changes.digest, "changes": rows}


def change_summary(changes: ChangeSet) -> dict[str, Json]:
    """What the summary of the report says of it."""
    return {
        "changes": {str(action): count for action, count in changes.counts.items()},
        "engine_builds": changes.engine_builds,
        "usd_per_month": {"old": changes.usd_per_month_before, "new": changes.usd_per_month_after},
        "slo": {"promises": len(changes.promises), "met": changes.met, "by_estimate": changes.by_estimate},
    }


def change_set_from_json(document: Mapping[str, Any]) -> ChangeSet | None:
    """The change set of a report; None where the plan was compared with nothing.

    Raises:
        ChangeFormatError: it is not what this version writes.
    """
    try:
        if document["base"] is None:
            return None
        return ChangeSet(
            base=_text(document["base"]),
            digest=_text(document["digest"]),
            changes=tuple(change_from_json(each) for each in document["changes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ChangeFormatError(f"no change set of this version: {type(error).__name__} {error}") from error


def change_to_json(change: DeploymentChange) -> dict[str, Json]:
    """One deployment."""
    return {
        "name": change.name,
        "target": change.target,
        "spec": change.spec,
        "action": change.action,
        "status": change.status,
        "inputs": [_input(each) for each in change.inputs],
        "effects": [_effect(each) for each in change.effects],
        "files": [{"path": file.path, "action": file.action} for file in change.files],
        "policy": [_finding(each) for each in change.policy],
        "engine_pending": change.is_pending,
        "usd_per_month": {"old": change.usd_per_month_before, "new": change.usd_per_month_after},
        "notes": list(change.words),
    }


def change_from_json(document: Mapping[str, Any]) -> DeploymentChange:
    """The deployment that was written.

    Raises:
        KeyError, TypeError, ValueError: it is not what this version writes.
    """
    money = document["usd_per_month"]
    return DeploymentChange(
        name=_text(document["name"]),
        target=_optional_text(document["target"]),
        spec=_text(document["spec"]),
        action=_one_of(ChangeAction, document["action"]),
        status=_one_of(_STATUS, document["status"]),
        inputs=tuple(_input_from(each) for each in document["inputs"]),
        effects=tuple(_effect_from(each) for each in document["effects"]),
        files=tuple(
            EmittedFile(path=_text(each["path"]), action=_one_of(_FILE_ACTION, each["action"]))
            for each in document["files"]
        ),
        policy=tuple(_finding_from(each) for each in document["policy"]),
        is_pending=bool(document["engine_pending"]),
        usd_per_month_before=_optional_number(money["old"]),
        usd_per_month_after=_optional_number(money["new"]),
        words=tuple(_text(each) for each in document["notes"]),
    )


_STATUS = DeploymentChange.__dataclass_fields__["status"].type
_FILE_ACTION = EmittedFile.__dataclass_fields__["action"].type


def _input(changed: ChangedInput) -> dict[str, Json]:
    return {
        "kind": changed.kind,
        "path": changed.path,
        "old": changed.old,
        "new": changed.new,
        "file": changed.file,
        "line": changed.line,
        "column": changed.column,
    }


def _input_from(document: Mapping[str, Any]) -> ChangedInput:
    return ChangedInput(
        kind=_one_of(InputKind, document["kind"]),
        path=_text(document["path"]),
        old=_optional_text(document["old"]),
        new=_optional_text(document["new"]),
        file=_optional_text(document["file"]),
        line=_optional_count(document["line"]),
        column=_optional_count(document["column"]),
    )


def _effect(effect: Effect) -> dict[str, Json]:
    return {
        "id": effect.id,
        "label": effect.label,
        "old": None if effect.old is None else _figure(effect.old),
        "new": None if effect.new is None else _figure(effect.new),
        "limit": effect.limit,
        "met": effect.is_met,
        "changed": effect.is_changed,
    }


def _effect_from(document: Mapping[str, Any]) -> Effect:
    met = document["met"]
    return Effect(
        id=_text(document["id"]),
        label=_text(document["label"]),
        old=_figure_from(document["old"]),
        new=_figure_from(document["new"]),
        limit=_optional_number(document["limit"]),
        is_met=None if met is None else bool(met),
    )


def _figure(figure: Figure) -> dict[str, Json]:
    return {
        "value": figure.value,
        "unit": figure.unit,
        "low": figure.low,
        "high": figure.high,
        "evidence": figure.evidence.value,
    }


def _figure_from(document: Mapping[str, Any] | None) -> Figure | None:
    if document is None:
        return None
    return Figure(
        value=_cell(document["value"]),
        unit=_text(document["unit"]),
        low=_optional_number(document["low"]),
        high=_optional_number(document["high"]),
        evidence=Evidence(document["evidence"]),
    )


def _finding(finding: PolicyFinding) -> dict[str, Json]:
    threshold, span = finding.threshold, finding.threshold.span
    return {
        "rule": threshold.rule,
        "limit": threshold.limit,
        "written": threshold.written,
        "action": threshold.action,
        "specs": None if threshold.specs is None else list(threshold.specs),
        "because": threshold.because,
        "outcome": finding.outcome,
        "predicted": finding.predicted,
        "span": [span.path, span.line, span.column, span.end_line, span.end_column],
    }


def _finding_from(document: Mapping[str, Any]) -> PolicyFinding:
    path, line, column, end_line, end_column = document["span"]
    specs = document["specs"]
    limit = document["limit"]
    threshold = Threshold(
        rule=_text(document["rule"]),
        limit=limit if isinstance(limit, str) else float(limit),
        written=_text(document["written"]),
        action=_one_of(Threshold.__dataclass_fields__["action"].type, document["action"]),
        specs=None if specs is None else tuple(_text(each) for each in specs),
        because=_optional_text(document["because"]),
        span=Span(path=_text(path), line=int(line), column=int(column), end_line=end_line, end_column=end_column),
    )
    outcome = _one_of(PolicyFinding.__dataclass_fields__["outcome"].type, document["outcome"])
    return PolicyFinding(threshold=threshold, outcome=outcome, predicted=_text(document["predicted"]))


def _one_of(kind: Any, value: object) -> Any:
    if value not in get_args(kind):
        raise ValueError(f"{value!r} is none of {', '.join(map(str, get_args(kind)))}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _optional_number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _optional_count(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no count")
    return value


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{value!r} is no value")
