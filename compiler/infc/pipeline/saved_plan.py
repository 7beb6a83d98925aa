"""Saved plans: what `infc plan --format json --out FILE` writes of a review, and how a compile holds to it.

A saved plan is never trusted to say what to build: the compile plans again and refuses where that comes to something
else than what the file says was reviewed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infc.diag import Diagnostic, DiagnosticError, has_errors
from infc.ir.change import ChangeSet
from infc.lock import Lock, LockEntry
from infc.lock.blocks import blocks_of
from infc.pipeline.changes import Review
from infc.pipeline.locking import decided_entries, shown_path
from infc.pipeline.locks import Locks
from infc.pipeline.plan import PlannedSpec, plan_specs, spec_path_in_repository
from infc.pipeline.reviewed import (
    ReviewedDeployment,
    reviewed_digest,
    reviewed_from_json,
    reviewed_of,
    reviewed_to_json,
    unplanned,
)
from infc.report.change_json import ChangeFormatError, change_set_from_json, change_set_to_json, change_summary
from infc.report.plan_json import FORMAT_VERSION, ChangeDocument
from infc.spec import find_workspace

_LOCK_STALE = 4
_SHORT = 12
_OF_DEVICE = ("hardware", "price", "profiles", "catalogue", "toolchain")
_MOST_NOTES = 8
_PLAN_AGAIN = "plan again, review the change, and compile with the new file"


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A saved plan as read. `name` is its file, for messages."""

    name: str
    changes: ChangeSet
    deployments: tuple[ReviewedDeployment, ...]

    def specs(self) -> tuple[Path, ...]:
        """The specs that were planned, as they are found from here: below the top of the repository of this folder.

        Raises:
            DiagnosticError: one of them is not here, or had no plan.
        """
        top = find_workspace(Path.cwd() / "infc.lock").boundary
        named = dict.fromkeys(each.spec for each in self.deployments if each.locked is None)
        problems = [
            _absent(f"{change.spec} had no plan in {self.name}: it is {change.status}", "correct it and plan again")
            for change in self.changes.changes
            if change.status in ("infeasible", "invalid")
        ]
        gone = [spec for spec in named if not _is_inside(spec) or not (top / spec).is_file()]
        problems += [_absent(f"{spec} of {self.name} is not here", "run infc in its repository") for spec in gone]
        if problems:
            raise DiagnosticError(tuple(dict.fromkeys(problems)), exit_code=_LOCK_STALE)
        return tuple(shown_path(top / spec) for spec in named)

    def removed(self) -> tuple[str, ...]:
        """The deployments that the plan removes."""
        return tuple(change.label for change in self.changes.changes if change.action == "removed")

    def mismatch(self, planned: PlannedSpec, lock: Lock) -> Diagnostic | None:
        """Why a spec must not be compiled: it is not what was reviewed. None where it is."""
        spec = spec_path_in_repository(planned.loaded)
        expected = {each.target: each for each in self.deployments if each.spec == spec}
        shown = planned.loaded.path.as_posix()
        if not expected:
            return _absent(f"{self.name} does not hold {shown}", "plan and review it too, or leave it out")
        entries = {entry.target: entry for _, entry in decided_entries(planned, lock)}
        notes = []
        for target, reviewed in expected.items():
            entry = entries.get(target)
            if entry is not None:
                notes += [f"{target}: {note}" for note in _differences(reviewed, entry, lock, spec)]
                continue
            other = next((each for each in entries.values() if each.target not in expected), None)
            notes.append(f"{target}: is not planned any more" + (f", but {other.target}" if other else ""))
            notes += [f"{target}: {note}" for note in _own_inputs(reviewed, other, spec)]
        notes += [f"{target}: is not in it" for target in entries if target not in expected and not notes]
        return _stale(f"{shown} is not what {self.name} says was reviewed", notes) if notes else None

    def betrayed(self, planned: PlannedSpec, lock: Lock, compiled: Iterable[LockEntry]) -> Diagnostic | None:
        """Why the result of a compile must not be kept: it left the reviewed decision, as where accuracy is missed."""
        reviewed = {entry.target: entry for _, entry in decided_entries(planned, lock)}
        notes = []
        for entry in compiled:
            before = reviewed.get(entry.target)
            if before is None:
                notes.append(f"{entry.target}: was not chosen by the reviewed plan")
                continue
            old, new = (_choices(reviewed_of(each, "").decision) for each in (before, entry))
            notes += [f"{entry.target}: {words}" for words in _changed(old, new)]
        shown = planned.loaded.path.as_posix()
        return _stale(f"{shown} does not compile to what {self.name} says was reviewed", notes) if notes else None


def saved_document(review: Review) -> ChangeDocument:
    """What the JSON report of a review holds beside the decisions."""
    keys = change_set_to_json(review.changes) | {"deployments": [reviewed_to_json(each) for each in review.deployments]}
    return ChangeDocument(keys=keys, summary=change_summary(review.changes))


def read_saved_plan(path: Path) -> SavedPlan:
    """A saved plan.

    Raises:
        DiagnosticError: the file is none of this version, or it was edited.
        OSError: it cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        changes = change_set_from_json(document)
        deployments = tuple(reviewed_from_json(each) for each in document["deployments"])
        version = str(document["format_version"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ChangeFormatError) as error:
        raise _unreadable(path, "is no saved plan of this version") from error
    if changes is None or version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise _unreadable(path, f"has format {version}, this infc reads {FORMAT_VERSION}")
    if changes.digest != reviewed_digest(deployments):
        raise _unreadable(path, "was edited: its digest is not that of what it holds")
    return SavedPlan(name=path.as_posix(), changes=changes, deployments=deployments)


def refusals(saved: SavedPlan, paths: Sequence[Path], overlay: Path | None) -> tuple[Diagnostic, ...]:
    """Why nothing of these specs must be compiled; empty where all of them are planned as they were reviewed.

    What is wrong with a spec itself is left to the compile.
    """
    locks = Locks()
    found = []
    for planned in plan_specs(paths, overlay=overlay, locked_digest=locks.model_digest):
        if planned.decisions and not has_errors(planned.diagnostics):
            found.append(saved.mismatch(planned, locks.of(planned.loaded.workspace) or Lock()))
    return tuple(each for each in found if each is not None)


def _differences(reviewed: ReviewedDeployment, entry: LockEntry, lock: Lock, spec: str) -> Iterator[str]:
    """What a plan comes to now that is not what was reviewed."""
    now = reviewed_of(entry, spec)
    if reviewed.locked is None:
        inputs = list(_changed(reviewed.inputs, now.inputs, "input "))
        yield from inputs
        yield from _changed(reviewed.decision, now.decision)
        return
    held = lock.find(entry.name, entry.target)
    if held is None or _held(held, spec) != reviewed.locked:
        yield "was to stay as it is locked, and its lock entry is another one"
    else:
        yield from _changed(reviewed_of(held, spec).inputs, now.inputs, "input ")
        yield from _changed(reviewed_of(held, spec).decision, now.decision)


def _own_inputs(reviewed: ReviewedDeployment, entry: LockEntry | None, spec: str) -> Iterator[str]:
    """Inputs that differ and do not depend on the device."""
    if entry is not None and reviewed.locked is None:
        now = reviewed_of(entry, spec).inputs
        old, new = ({k: v for k, v in each.items() if k not in _OF_DEVICE} for each in (reviewed.inputs, now))
        yield from _changed(old, new, "input ")


def _held(entry: LockEntry, spec: str) -> str | None:
    (block,) = blocks_of(Lock(entries=(entry,)))
    return unplanned(block, spec).locked


def _changed(old: Mapping[str, str | None], new: Mapping[str, str | None], what: str = "") -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield f"{what}{name}: {_brief(old.get(name))} -> {_brief(new.get(name))}"


def _choices(decision: Mapping[str, str]) -> Mapping[str, str]:
    return {path: value for path, value in decision.items() if path.startswith("choice.")}


def _brief(value: str | None) -> str:
    if not value:
        return "none"
    return value.removeprefix("sha256:")[:_SHORT] if value.startswith("sha256:") else value


def _is_inside(spec: str) -> bool:
    path = PurePosixPath(spec)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in spec


def _stale(message: str, notes: list[str]) -> Diagnostic:
    more = [f"and {len(notes) - _MOST_NOTES} more"] if len(notes) > _MOST_NOTES else []
    return Diagnostic(id="saved-plan-stale", message=message, notes=(*notes[:_MOST_NOTES], *more), help=_PLAN_AGAIN)


def _absent(message: str, help: str) -> Diagnostic:
    return Diagnostic(id="saved-plan-absent", message=message, help=help)


def _unreadable(path: Path, words: str) -> DiagnosticError:
    help = "make it again: infc plan SPEC|DIR... --format json --out plan.json"
    problem = Diagnostic(id="saved-plan-unreadable", message=f"{path.as_posix()} {words}", help=help)
    return DiagnosticError((problem,), exit_code=_LOCK_STALE)
