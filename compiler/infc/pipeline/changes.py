"""Everything that differs from a base: the specs that a change concerns are planned, the others are as they were."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from infc.ir.change import ChangeSet, DeploymentChange
from infc.ir.spec.names import label_from
from infc.lock import Lock
from infc.lock.blocks import LockBlock, entries_from, text_from_blocks
from infc.pipeline.base import Base, RevisionBase, blocks_from, revision_bases
from infc.pipeline.git import paths_gone
from infc.pipeline.locking import shown_path
from infc.pipeline.plan_inputs import PlanOptions
from infc.pipeline.plan_many import plan_many
from infc.pipeline.plan_record import PlanRecord
from infc.pipeline.reviewed import ReviewedDeployment, reviewed_digest, unplanned
from infc.pipeline.spec_base import SpecBase, inside_of
from infc.pipeline.spec_changes import removed_change, unplanned_change
from infc.pipeline.touched import Touched
from infc.spec import SPEC_SUFFIX, Workspace, find_workspace, load_spec

MOST_CAUSES = 8
"""Up to so many specs, a plan is also made with one input changed at a time."""


def _quiet(_done: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class Review:
    """Plans beside their base.

    `records` are those of the specs that were planned, in order; `changes` holds every deployment. `deployments` are
    what a saved plan holds. `is_based`: there was something to compare with.
    """

    records: tuple[PlanRecord, ...]
    changes: ChangeSet
    deployments: tuple[ReviewedDeployment, ...]
    is_based: bool


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A workspace with its specs among those asked for, and its locks."""

    workspace: Workspace
    specs: tuple[Path, ...]
    before: tuple[LockBlock, ...]
    now: tuple[LockBlock, ...]
    revision: RevisionBase | None

    def inside(self, spec: Path) -> str:
        """A spec's path relative to the lock."""
        return inside_of(self.workspace.root, spec) or spec.as_posix()


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A spec to plan, with its lock entries at the base and now."""

    place: _Place
    before: tuple[LockBlock, ...]
    now: tuple[LockBlock, ...]
    touched: Touched | None

    def base(self, *, has_causes: bool) -> SpecBase:
        locked = text_from_blocks(self.before) if self.before else ""
        if self.touched is None or self.place.revision is None:
            return SpecBase(locked=locked, has_causes=has_causes)
        return SpecBase(
            locked=locked,
            commit=self.place.revision.commit,
            catalogue=self.touched.catalogue,
            is_policy_changed=self.touched.is_policy_changed,
            has_causes=has_causes,
        )


_Known: TypeAlias = tuple[dict[Path, _Job], list[DeploymentChange], list[ReviewedDeployment]]
"""The specs to plan; and of all others what changed, and what a saved plan holds."""


def change_set(paths: Sequence[Path], base: Base, options: PlanOptions, *, folders: Sequence[Path] = ()) -> ChangeSet:
    """Every deployment of the specs beside its base: one change set for all workspaces of the command.

    Args:
        paths: spec files, as the user wrote them.
        base: what to compare with.
        options: what changes what a plan says.
        folders: folders that were searched for specs: what is gone from them is listed as removed.

    Raises:
        ToolError: there is no such base; or a model must be analysed and the extra `onnx` is not installed.
        DiagnosticError: a lock cannot be read.
    """
    return review(paths, base, options, folders=folders).changes


def review(
    paths: Sequence[Path],
    base: Base,
    options: PlanOptions,
    *,
    folders: Sequence[Path] = (),
    is_whole: bool = False,
    has_cache: bool = True,
    processes: int = 1,
    progress: Callable[[int], None] = _quiet,
) -> Review:
    """The same, with the plans of the specs that a change can concern, or of all of them where `is_whole`.

    The other arguments are those of `change_set` and `plan_many`.
    """
    with contextlib.ExitStack() as stack:
        places = tuple(_places(paths, base, folders, stack))
        known = _sorted_out(places, options, folders, is_whole=is_whole)
        return _review(paths, places, options, known, has_cache=has_cache, processes=processes, progress=progress)


def _review(
    paths: Sequence[Path],
    places: Sequence[_Place],
    options: PlanOptions,
    known: _Known,
    *,
    has_cache: bool,
    processes: int,
    progress: Callable[[int], None],
) -> Review:
    jobs, changes, deployments = known
    bases = {spec: job.base(has_causes=len(jobs) <= MOST_CAUSES) for spec, job in jobs.items()}
    todo = [path for path in paths if path in jobs]
    records = plan_many(
        todo,
        options,
        has_cache=has_cache and len(todo) > 1,  # to find what enters one plan takes as long as to make it
        processes=processes,
        progress=progress,
        bases=bases,
        locks=_locks(jobs.values()),
    )
    changes += [change for record in records for change in record.changes]
    deployments += [each for record in records for each in record.reviewed]
    return Review(
        records=tuple(records),
        changes=ChangeSet(
            base=_label(places),
            digest=reviewed_digest(deployments),
            changes=tuple(sorted(changes, key=lambda each: (each.name, each.target or "", each.spec))),
        ),
        deployments=tuple(sorted(deployments, key=lambda each: (each.spec, each.name, each.target))),
        is_based=any(place.revision is not None or place.before for place in places),
    )


def concerned(paths: Sequence[Path], base: Base, options: PlanOptions) -> tuple[Path, ...]:
    """The specs that a change can concern: those that a review plans. Arguments and errors as of `change_set`."""
    with contextlib.ExitStack() as stack:
        jobs, _, _ = _sorted_out(tuple(_places(paths, base, (), stack)), options, ())
        return tuple(path for path in paths if path in jobs)


def _sorted_out(
    places: Sequence[_Place], options: PlanOptions, folders: Sequence[Path], *, is_whole: bool = False
) -> _Known:
    """The specs to plan; and what is known of all others, and of those that are gone, without a plan."""
    jobs: dict[Path, _Job] = {}
    changes: list[DeploymentChange] = []
    deployments: list[ReviewedDeployment] = []
    for place in places:
        touched = _touched(place, options)
        old, gone = _before(place, folders)
        current = _by_spec(place.now)
        changes += gone
        is_everything = is_whole or touched is None or touched.is_everything
        for spec in place.specs:
            now = tuple(current.get(place.inside(spec), ()))
            if touched is None or is_everything or touched.concerns(spec, old[spec], now):
                jobs[spec] = _Job(place=place, before=old[spec], now=now, touched=touched)
            else:
                changes += [unplanned_change(block, spec.as_posix()) for block in now] or [_unlocked(spec)]
                deployments += [unplanned(block, _in_repository(place, spec)) for block in now]
    return jobs, changes, deployments


def _places(
    paths: Sequence[Path], base: Base, folders: Sequence[Path], stack: contextlib.ExitStack
) -> Iterator[_Place]:
    grouped: dict[Path, tuple[Workspace, list[Path]]] = {}
    for path in paths:
        workspace = find_workspace(path)
        grouped.setdefault(workspace.root, (workspace, []))[1].append(path)
    for folder in folders:  # one whose last spec is gone
        workspace = find_workspace(folder / "infc.lock")
        grouped.setdefault(workspace.root, (workspace, []))
    bases: Mapping[Path, RevisionBase] = {}
    if base.revision is not None:
        bases = revision_bases(base.revision, [workspace for workspace, _ in grouped.values()])
        for each in bases.values():
            stack.callback(each.repository.close)
    for workspace, specs in grouped.values():
        data = workspace.lock.read_bytes() if workspace.lock.is_file() else None
        now = () if data is None else blocks_from(data, shown_path(workspace.lock).as_posix())
        revision = bases.get(workspace.boundary)
        before = now if revision is None else revision.lock(workspace)
        yield _Place(workspace=workspace, specs=tuple(specs), before=before, now=now, revision=revision)


def _locks(jobs: Iterable[_Job]) -> Mapping[Path, Lock]:
    """What the planner needs of each lock: the entries of the specs that it plans, and one that there is a lock."""
    needed: dict[Path, dict[tuple[str, str], LockBlock]] = {}
    for job in jobs:
        blocks = needed.setdefault(job.place.workspace.root, {})
        known = {block.address for block in job.before}
        blocks |= {block.address: block for block in job.now or job.place.now[:1]}
        blocks |= {block.address: block for block in job.place.now if block.address in known}
    found = {root: entries_from(blocks[address] for address in sorted(blocks)) for root, blocks in needed.items()}
    return {root: Lock(entries=entries) for root, entries in found.items() if entries is not None}


def _touched(place: _Place, options: PlanOptions) -> Touched | None:
    """None where everything is planned: a lock alone does not tell whether a spec is still what it was."""
    if place.revision is None:
        return None
    return Touched(
        base=place.revision,
        workspace=place.workspace,
        overlay=options.overlay,
    )


def _by_spec(blocks: Iterable[LockBlock]) -> dict[str, list[LockBlock]]:
    found: dict[str, list[LockBlock]] = {}
    for block in blocks:
        found.setdefault(block.spec, []).append(block)
    return found


def _before(
    place: _Place, folders: Sequence[Path]
) -> tuple[Mapping[Path, tuple[LockBlock, ...]], list[DeploymentChange]]:
    """The entries of each spec on the other side, and the deployments whose spec is gone from the folders.

    A spec that moved takes its entries along: one of the same name.
    """
    by_spec = _by_spec(place.before)
    found = {spec: tuple(by_spec.get(place.inside(spec), ())) for spec in place.specs}
    root, roots = place.workspace.root, [folder.resolve() for folder in folders]
    orphans = {inside: by_spec[inside] for inside in paths_gone(root, by_spec)}
    for spec in place.specs if orphans else ():
        if not found[spec]:
            name = load_spec(spec).name
            moved = next((inside for inside, blocks in orphans.items() if blocks[0].name == name), None)
            found[spec] = tuple(orphans.pop(moved)) if moved is not None else ()
    gone = [
        removed_change(entry, shown_path(root / inside).as_posix())
        for inside, blocks in orphans.items()
        if any((root / inside).is_relative_to(each) for each in roots)
        for entry in entries_from(blocks) or ()
    ]
    return found, [*gone, *_gone_unlocked(place, roots, by_spec)]


def _gone_unlocked(place: _Place, roots: Sequence[Path], by_spec: Mapping[str, object]) -> Iterator[DeploymentChange]:
    """Specs of the base's commit that are gone and were not locked."""
    if place.revision is None:
        return
    repository = place.revision.repository
    for inside in paths_gone(repository.top, repository.files(place.revision.commit, SPEC_SUFFIX)):
        path = repository.top / inside
        is_ours = any(path.is_relative_to(root) for root in roots) and path.is_relative_to(place.workspace.root)
        if not is_ours or path.relative_to(place.workspace.root).as_posix() in by_spec:
            continue
        yield DeploymentChange(
            name=_file_name(path),
            target=None,
            spec=shown_path(path).as_posix(),
            action="removed",
            status="removed",
            words=("was not locked: what it cost is not known",),
        )


def _unlocked(spec: Path) -> DeploymentChange:
    """A spec of which nothing differs and nothing is locked."""
    return DeploymentChange(
        name=load_spec(spec).name if "name" in _text(spec) else _file_name(spec),
        target=None,
        spec=spec.as_posix(),
        action="unchanged",
        status="feasible",
        words=("is not locked: what it costs is not known without a plan",),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _file_name(path: Path) -> str:
    return label_from(path.name.removesuffix(SPEC_SUFFIX)) or "deployment"


def _in_repository(place: _Place, spec: Path) -> str:
    return inside_of(place.workspace.boundary, spec) or spec.as_posix()


def _label(places: Sequence[_Place]) -> str:
    revisions = dict.fromkeys(place.revision.label for place in places if place.revision is not None)
    if revisions:
        return ", ".join(revisions)
    locks = [shown_path(place.workspace.lock).as_posix() for place in places if place.workspace.lock.is_file()]
    if not locks:
        return "no lock"
    return ", ".join(locks) if len(locks) <= 2 else f"{len(locks)} locks"
