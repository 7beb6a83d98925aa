"""The lock against the specs: check it offline, write it without building, compare it with what a plan would lock."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import Diagnostic, has_errors
from infc.ir.hardware import Hardware
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import AnyProblem, LlmProblem
from infc.lock import (
    CurrentArtifact,
    EntryStatus,
    InputDigests,
    Lock,
    LockEntry,
    check,
    diff_entries,
    merge,
    read_lock,
    update_lock,
    write_lock,
)
from infc.lock.conflict import ConflictedLock, conflicted_lock
from infc.lock.entry import (
    as_written,
    engine_file,
    locked_accuracy,
    locked_choice,
    locked_prediction,
    pending_checkpoint,
)
from infc.lock.inputs import engine_inputs
from infc.lock.values import LockedAccuracy, LockedEngine
from infc.pipeline.bundles import add_profile, inputs_of, profile_of
from infc.pipeline.git import paths_only_hidden
from infc.pipeline.plan import (
    PlannedSpec,
    PlannedTarget,
    locked_digest_from,
    plan_loaded,
    profile_store,
    resolve_loaded,
    spec_path_in_workspace,
)
from infc.pipeline.spec_search import specs_under
from infc.resolve.problem import Resolved
from infc.resolve.targets import Catalogue
from infc.spec import LoadedSpec, Workspace, load_spec

Catalogues = dict[Path | None, Catalogue]


@dataclass(frozen=True, kw_only=True)
class CheckedLock:
    """The lock of one workspace with the status of its deployments; `lock` is None when it cannot be read."""

    path: Path
    lock: Lock | None
    statuses: tuple[EntryStatus, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class Relocked:
    """A lock before and after planning: `after` is what would be written, with the profiles of `problems`' models.

    `infeasible` names deployments without a plan.
    """

    path: Path
    before: Lock
    after: Lock
    infeasible: tuple[str, ...]
    problems: tuple[AnyProblem, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def has_errors(self) -> bool:
        """Whether any spec is invalid or the lock cannot be read; then nothing is to be written."""
        return has_errors(self.diagnostics)


def specs_of_workspace(workspace: Workspace) -> tuple[Path, ...]:
    """Every spec under the workspace's root, sorted; what `infc plan DIR` does not search is not searched here."""
    return tuple(shown_path(path) for path in specs_under(workspace.root))


def shown_path(path: Path) -> Path:
    """The path from here where it lies below, as a user would write it; else the path itself."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def check_lock(workspace: Workspace, specs: Sequence[Path] | None) -> CheckedLock:
    """Compare the lock of a workspace with its specs as they are now: no planning, no model weights, no network.

    Args:
        workspace: whose lock.
        specs: specs to check; None: every one, and then locked deployments without a spec are orphans.

    Raises:
        ToolError: a model must be analysed and the extra `onnx` is not installed.
    """
    path = shown_path(workspace.lock)
    lock, problems = read_lock(path)
    if lock is None:
        return CheckedLock(path=path, lock=None, statuses=(), diagnostics=problems)
    return _checked(workspace, specs, lock)


def _checked(workspace: Workspace, specs: Sequence[Path] | None, lock: Lock) -> CheckedLock:
    path = shown_path(workspace.lock)
    catalogues: Catalogues = {}
    current: list[CurrentArtifact] = []
    found: list[Diagnostic] = []
    all_loaded = [load_spec(spec) for spec in (specs_of_workspace(workspace) if specs is None else specs)]
    for loaded in all_loaded:
        resolved, _, diagnostics = resolve_loaded(loaded, catalogues, locked_digest=locked_digest_from(lock))
        found += diagnostics
        if resolved is not None:
            current += _current(loaded, resolved, lock)
    found += duplicate_names(all_loaded)
    is_complete = specs is None and not has_errors(found)
    statuses = check(lock, current, is_complete=is_complete)
    hidden = paths_only_hidden(workspace.root, (status.spec for status in statuses if status.status == "orphan"))
    statuses = tuple(status for status in statuses if status.spec not in hidden)
    return CheckedLock(path=path, lock=lock, statuses=statuses, diagnostics=tuple(dict.fromkeys(found)))


def relock(workspace: Workspace, specs: Sequence[Path] | None, *, upgrade: frozenset[str] | None) -> Relocked:
    """Plan what the lock no longer matches, without building anything and without writing the lock.

    A deployment whose inputs are the locked ones keeps its entry. An engine is kept as long as what it is made from is
    unchanged; else it is pending until the next compile, and so are the digests of emitted files. A lock with conflict
    markers is taken as both sides of the merge: of a deployment that both have, the entry that the inputs still fit.

    Args:
        workspace: whose lock.
        specs: specs to look at; None: every one, and then deployments without a spec are removed.
        upgrade: names to plan again although nothing changed; an empty set means every one, None means none.
    """
    checked = _merged(workspace, specs) or check_lock(workspace, specs)
    before = checked.lock or Lock()
    if has_errors(checked.diagnostics):
        return Relocked(
            path=checked.path, before=before, after=before, infeasible=(), problems=(), diagnostics=checked.diagnostics
        )
    paths = specs_of_workspace(workspace) if specs is None else specs
    removed = [(s.name, s.target) for s in checked.statuses if s.status == "orphan" and s.target is not None]
    entries: list[LockEntry] = []
    infeasible: list[str] = []
    problems: dict[str, AnyProblem] = {}
    found = list(checked.diagnostics)
    catalogues: Catalogues = {}
    for path in paths:
        loaded = load_spec(path)
        if not _needs_plan(loaded, checked.statuses, upgrade):
            continue
        planned = plan_loaded(loaded, catalogues, locked_digest=locked_digest_from(before))
        found += planned.diagnostics
        fresh, without_plan = planned_entries(planned, before)
        infeasible += without_plan
        if not without_plan:
            problems |= {problem.model.digest: problem for problem in planned.problems}
            kept = {entry.address for entry in fresh}
            removed += [entry.address for entry in _entries_of(before, loaded) if entry.address not in kept]
            entries += fresh
    return Relocked(
        path=checked.path,
        before=before,
        after=merge(before, entries, removed),
        infeasible=tuple(infeasible),
        problems=tuple(problems.values()),
        diagnostics=tuple(dict.fromkeys(found)),
    )


def _merged(workspace: Workspace, specs: Sequence[Path] | None) -> CheckedLock | None:
    """What both sides of a merge locked; None where the lock holds no conflict that can be told apart."""
    conflict = _conflict(workspace.lock)
    if conflict is None:
        return None
    checked = _checked(workspace, specs, conflict.both)
    stale = {(status.name, status.target) for status in checked.statuses if status.status == "stale"}
    others = [entry for entry in conflict.theirs.entries if entry.address in stale]
    return _checked(workspace, specs, merge(conflict.both, others)) if others else checked


def _conflict(path: Path) -> ConflictedLock | None:
    try:
        return conflicted_lock(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def write_relocked(workspace: Workspace, relocked: Relocked) -> tuple[Diagnostic, ...]:
    """Write what `relock` found, merged into the lock as it is on disk now, and the model profiles that it names.

    A lock with conflict markers is replaced.
    """
    store = profile_store(workspace)
    for problem in relocked.problems:
        add_profile(problem, store)
    if _conflict(workspace.lock) is not None:
        write_lock(relocked.path, relocked.after)
        return ()
    after = {entry.address: entry for entry in relocked.after.entries}
    changed = [entry for address, entry in after.items() if relocked.before.find(*address) != entry]
    removed = [entry.address for entry in relocked.before.entries if entry.address not in after]
    return update_lock(relocked.path, changed, removed)


def planned_entries(planned: PlannedSpec, before: Lock) -> tuple[list[LockEntry], list[str]]:
    """The entries that a plan would lock, without building, and the names of deployments that have no plan."""
    name = planned.loaded.name
    refused = [each for each in planned.decisions if isinstance(each.decision, Infeasible)]
    infeasible = [f"{name} @ {each.target}" if each.target else name for each in refused]
    return [entry for _, entry in decided_entries(planned, before)], infeasible


def decided_entries(planned: PlannedSpec, before: Lock) -> list[tuple[PlannedTarget, LockEntry]]:
    """Each feasible decision with the entry that it would lock.

    A target that is also the free choice is one deployment: its own plan, restricted to it, is kept.
    """
    found: dict[tuple[str, str], tuple[PlannedTarget, LockEntry]] = {}
    for decided in planned.decisions:
        if isinstance(decided.decision, Plan):
            entry = _planned_entry(planned.loaded, decided.problem, decided.decision, before)
            found[entry.address] = (decided, entry)
    return list(found.values())


def duplicate_names(all_loaded: Iterable[LoadedSpec]) -> Iterator[Diagnostic]:
    """An error for every spec whose name another spec of the workspace has already."""
    first: dict[str, LoadedSpec] = {}
    for loaded in all_loaded:
        known = first.setdefault(loaded.name, loaded)
        if known.path.resolve() != loaded.path.resolve():
            yield Diagnostic(
                id="lock-duplicate-name",
                message=f"two specs are named {loaded.name}",
                span=loaded.span("metadata.name"),
                notes=(f"the other one is {known.path.as_posix()}",),
                help="give one of them another metadata.name: the lock and the output folder go by it",
            )


def _needs_plan(loaded: LoadedSpec, statuses: Sequence[EntryStatus], upgrade: frozenset[str] | None) -> bool:
    if upgrade is not None and (not upgrade or loaded.name in upgrade):
        return True
    return any(s.name == loaded.name and s.status in ("stale", "missing") for s in statuses)


def _current(loaded: LoadedSpec, resolved: Resolved, lock: Lock) -> Iterator[CurrentArtifact]:
    spec = spec_path_in_workspace(loaded)
    entries = _entries_of(lock, loaded)
    if not entries:
        yield CurrentArtifact(name=loaded.name, spec=spec, target=None, inputs=None)
        return
    for entry in entries:
        inputs = inputs_of(loaded, problem_of(resolved, entry), entry.choice.hardware, entry)
        yield CurrentArtifact(name=loaded.name, spec=spec, target=entry.target, inputs=inputs)
    for own in resolved.targets.values():
        hardware = own.options[0].hardware.id
        if all(entry.choice.hardware != hardware for entry in entries):
            yield CurrentArtifact(name=loaded.name, spec=spec, target=hardware, inputs=None)


def problem_of(resolved: Resolved, entry: LockEntry) -> AnyProblem:
    """The problem that decided a locked device: its own where `deploy.targets` names it, else the free choice."""
    own = (p for p in resolved.targets.values() if p.options[0].hardware.id == entry.choice.hardware)
    problem = next(own, resolved.problem)
    if not isinstance(problem, LlmProblem):
        return problem
    models = (problem, *problem.alternatives)
    return next((each for each in models if each.source.name == entry.choice.model_name), problem)


def _planned_entry(loaded: LoadedSpec, problem: AnyProblem, plan: Plan, before: Lock) -> LockEntry:
    candidate = plan.candidate
    old = before.find(loaded.name, candidate.target)
    inputs = inputs_of(loaded, problem, candidate.hardware_id, old)
    entry = LockEntry(
        name=loaded.name,
        target=candidate.target,
        spec=spec_path_in_workspace(loaded),
        profile=profile_of(loaded, problem, profile_store(loaded.workspace)),
        inputs=inputs,
        choice=locked_choice(problem, candidate),
        predicted=locked_prediction(plan.estimate),
        accuracy=_accuracy(problem, plan),
        engine=_engine(problem, plan, inputs, old),
        files={},
        release=old.release if old is not None else None,  # the number of the next one follows from it
    )
    fresh = as_written(entry)
    if old is not None and replace(old, files={}, inputs=_advisory_from(fresh, old)) == fresh:
        return replace(fresh, files=old.files)
    return fresh


def _advisory_from(fresh: LockEntry, old: LockEntry) -> InputDigests:
    return replace(old.inputs, profiles=fresh.inputs.profiles, catalogue=fresh.inputs.catalogue)


def _entries_of(lock: Lock, loaded: LoadedSpec) -> tuple[LockEntry, ...]:
    return tuple(entry for entry in lock.of_spec(spec_path_in_workspace(loaded)) if entry.name == loaded.name)


def _accuracy(problem: AnyProblem, plan: Plan) -> LockedAccuracy | None:
    from infc.plan.evidence import passed_evidence

    evidence = passed_evidence(problem, _hardware(problem, plan), plan.candidate.precision)
    return locked_accuracy(evidence) if evidence else None


def _engine(problem: AnyProblem, plan: Plan, inputs: InputDigests, old: LockEntry | None) -> LockedEngine:
    if isinstance(problem, LlmProblem):
        fresh = pending_checkpoint(problem, plan.candidate, inputs)
        return old.engine if old is not None and old.engine.inputs == fresh.inputs else fresh
    digest = engine_inputs(plan.candidate, inputs)
    if old is not None and old.engine.inputs == digest:
        return old.engine
    from infc.build import builder_for

    hardware = _hardware(problem, plan)
    kind = builder_for(hardware, problem.engine, plan.candidate.precision)
    file = None if hardware.kind == "jetson" else engine_file(problem.name, kind)
    return LockedEngine(kind=kind, inputs=digest, key=None, file=file, is_pending=True, toolchain={})


def _hardware(problem: AnyProblem, plan: Plan) -> Hardware:
    return next(o.hardware for o in problem.options if o.hardware.id == plan.candidate.hardware_id)


def planned_changes(planned: PlannedSpec, lock: Lock) -> Mapping[str | None, tuple[Mapping[str, str], ...]]:
    """How each decision (by target) differs from the lock, as rows of text; none where nothing is locked at all."""
    from infc.report.diff_text import change_rows

    rows: dict[str | None, tuple[Mapping[str, str], ...]] = {}
    for decided in planned.decisions if lock.entries else ():
        if isinstance(decided.decision, Plan):
            fresh = _planned_entry(planned.loaded, decided.problem, decided.decision, lock)
            rows[decided.target] = change_rows(diff_entries(lock.find(*fresh.address), fresh))
    return rows
