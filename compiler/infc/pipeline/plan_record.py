"""The plan of one spec as it is cached and handed between processes: its reports, its diagnostics, its exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infc.diag import Diagnostic, Severity, Span
from infc.ir.change import DeploymentChange
from infc.lock import Lock
from infc.pipeline.locks import Locks
from infc.pipeline.plan import PlannedSpec, locked_digest_from, plan_loaded, spec_path_in_repository
from infc.pipeline.plan_entries import plan_entries
from infc.pipeline.policies import Policies
from infc.pipeline.review import reviews
from infc.pipeline.reviewed import ReviewedDeployment, reviewed_from_json, reviewed_of, reviewed_to_json
from infc.pipeline.spec_base import OldSpecs, SpecBase
from infc.pipeline.spec_changes import changes_of, comparison
from infc.plan.curve_book import CurveBook
from infc.report.change_json import change_from_json, change_to_json
from infc.report.plan_fragments import PlanFragments, fragments_of
from infc.resolve.targets import Catalogue
from infc.spec import LoadedSpec


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """What a plan says, without the values that led to it.

    `path` is the spec's, as the user wrote it. `diagnostics` are the spec's own, `shared` those of the locks and
    policies that it met. `is_policy_invalid`: a policy file has errors. `is_refused`: a policy threshold that fails is
    not kept. `changes` are its deployments beside those of the base, `reviewed` what a saved plan holds of them.
    """

    path: Path
    status: str
    is_spec_invalid: bool
    has_changes: bool
    is_refused: bool
    is_policy_invalid: bool
    diagnostics: tuple[Diagnostic, ...]
    shared: tuple[Diagnostic, ...]
    fragments: PlanFragments
    changes: tuple[DeploymentChange, ...] = ()
    reviewed: tuple[ReviewedDeployment, ...] = ()

    @property
    def is_of_history(self) -> bool:
        """Whether a changed spec was looked up in the history of its file, which goes on."""
        return any(changed.kind == "spec" for change in self.changes for changed in change.inputs)


class SpecPlanner:
    """Plans spec files one after the other; what they share is read once. Ends its processes when it is left."""

    def __init__(
        self, *, overlay: Path | None, has_ladder: bool, locks: "Mapping[Path, Lock | None] | None" = None
    ) -> None:
        self._overlay = overlay
        self._has_ladder = has_ladder
        self._catalogues: dict[Path | None, Catalogue] = {}
        self._books: dict[int, CurveBook] = {}
        self._locks = Locks(locks or {})
        self._policies = Policies()
        self._texts = OldSpecs()

    def __enter__(self) -> "SpecPlanner":
        return self

    def __exit__(self, *_: object) -> None:
        self._texts.close()

    def record(self, loaded: LoadedSpec, base: SpecBase) -> PlanRecord:
        """The plan of a loaded spec, and what differs from its base."""
        locks, policies = self._locks, self._policies
        planned = self._plan(loaded, locks.of(loaded.workspace))
        review = reviews(planned, locks, policies, overlay=self._overlay, has_ladder=self._has_ladder)
        entries = plan_entries(planned, locks, review)
        lock = locks.of(loaded.workspace) or Lock()
        compared = comparison(
            planned, lock, base, self._texts, lambda other, known: self._plan(other, lock, only_measurements=known)
        )
        return PlanRecord(
            path=loaded.path,
            status=planned.status,
            is_spec_invalid=_is_spec_invalid(planned),
            has_changes=any(entry.changes for entry in entries),
            is_refused=any(finding.is_failure for entry in entries for finding in entry.review.policy),
            is_policy_invalid=policies.is_invalid,
            diagnostics=planned.diagnostics,
            shared=(*locks.diagnostics, *policies.diagnostics),
            fragments=fragments_of(entries),
            changes=changes_of(compared, review),
            reviewed=tuple(reviewed_of(fresh.entry, spec_path_in_repository(loaded)) for fresh in compared.fresh),
        )

    def _plan(
        self, loaded: LoadedSpec, lock: Lock | None, *, only_measurements: frozenset[str] | None = None
    ) -> PlannedSpec:
        return plan_loaded(
            loaded,
            self._catalogues,
            overlay=self._overlay,
            locked_digest=locked_digest_from(lock),
            only_measurements=only_measurements,
            books=self._books,
        )


def _is_spec_invalid(planned: PlannedSpec) -> bool:
    return planned.status == "invalid" and planned.is_spec_invalid


def record_to_json(record: PlanRecord) -> dict[str, Any]:
    """The record as JSON values."""
    parts = record.fragments
    return {
        "path": str(record.path),
        "status": record.status,
        "is_spec_invalid": record.is_spec_invalid,
        "has_changes": record.has_changes,
        "is_refused": record.is_refused,
        "is_policy_invalid": record.is_policy_invalid,
        "diagnostics": [_diagnostic_to_json(each) for each in record.diagnostics],
        "shared": [_diagnostic_to_json(each) for each in record.shared],
        "statuses": list(parts.statuses),
        "text": parts.text,
        "colored": parts.colored,
        "json": list(parts.json),
        "markdown_rows": list(parts.markdown_rows),
        "markdown_details": list(parts.markdown_details),
        "changes": [change_to_json(each) for each in record.changes],
        "reviewed": [reviewed_to_json(each) for each in record.reviewed],
    }


def record_from_json(document: Mapping[str, Any]) -> PlanRecord:
    """The record that was written.

    Raises:
        KeyError, TypeError, ValueError: it is not what this version writes.
    """
    return PlanRecord(
        path=Path(document["path"]),
        status=str(document["status"]),
        is_spec_invalid=bool(document["is_spec_invalid"]),
        has_changes=bool(document["has_changes"]),
        is_refused=bool(document["is_refused"]),
        is_policy_invalid=bool(document["is_policy_invalid"]),
        diagnostics=tuple(_diagnostic_from_json(each) for each in document["diagnostics"]),
        shared=tuple(_diagnostic_from_json(each) for each in document["shared"]),
        fragments=PlanFragments(
            statuses=tuple(document["statuses"]),
            text=str(document["text"]),
            colored=str(document["colored"]),
            json=tuple(document["json"]),
            markdown_rows=tuple(document["markdown_rows"]),
            markdown_details=tuple(document["markdown_details"]),
        ),
        changes=tuple(change_from_json(each) for each in document["changes"]),
        reviewed=tuple(reviewed_from_json(each) for each in document["reviewed"]),
    )


def _diagnostic_to_json(diagnostic: Diagnostic) -> list[Any]:
    span = diagnostic.span
    place = None if span is None else [span.path, span.line, span.column, span.end_line, span.end_column]
    words = [diagnostic.message, diagnostic.label, list(diagnostic.notes), diagnostic.help]
    return [diagnostic.id, diagnostic.severity.value, place, *words]


def _diagnostic_from_json(document: list[Any]) -> Diagnostic:
    id, severity, place, message, label, notes, help = document
    span = None
    if place is not None:
        path, line, column, end_line, end_column = place
        span = Span(path=path, line=line, column=column, end_line=end_line, end_column=end_column)
    return Diagnostic(
        id=id, severity=Severity(severity), message=message, span=span, label=label, notes=tuple(notes), help=help
    )
