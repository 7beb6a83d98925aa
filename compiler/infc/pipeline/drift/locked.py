"""What a spec and its lock say of a deployment, before anything that runs is asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from infc.diag import Diagnostic, has_errors
from infc.ir.problem import BaseProblem
from infc.lock import Lock, LockEntry, read_lock
from infc.pipeline.locking import check_lock, shown_path
from infc.pipeline.plan import locked_digest_from, resolve_loaded, spec_path_in_workspace
from infc.resolve.problem import Resolved
from infc.resolve.targets import Catalogue
from infc.spec import LoadedSpec, load_spec

P = TypeVar("P", bound=BaseProblem)


@dataclass(frozen=True, kw_only=True)
class LockedSpec:
    """A spec, and the deployments of it that the lock holds."""

    loaded: LoadedSpec
    lock: Lock
    entries: tuple[LockEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Deployed(Generic[P]):
    """One locked deployment with the problem that its spec states now. `stale` names the inputs that changed since."""

    loaded: LoadedSpec
    entry: LockEntry
    problem: P
    stale: tuple[str, ...]


def open_locked(spec: Path) -> tuple[LockedSpec | None, tuple[Diagnostic, ...]]:
    """A spec with what the lock holds of it, or what is wrong with either."""
    loaded = load_spec(spec)
    if loaded.spec is None:
        return None, loaded.diagnostics
    lock, problems = read_lock(shown_path(loaded.workspace.lock))
    if lock is None:
        return None, problems
    return LockedSpec(loaded=loaded, lock=lock, entries=lock.of_spec(spec_path_in_workspace(loaded))), ()


def open_entry(spec: Path, target: str | None) -> tuple[tuple[LockedSpec, LockEntry] | None, tuple[Diagnostic, ...]]:
    """A spec and the one locked deployment of it that is meant, or what is wrong with spec, lock or target."""
    opened, problems = open_locked(spec)
    if opened is None:
        return None, problems
    entry, problems = entry_of(opened, target)
    return (None, problems) if entry is None else ((opened, entry), ())


def resolve_locked(
    opened: LockedSpec, only_measurements: frozenset[str] | None = None
) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """What the spec states now, with the model as it was locked; else the errors.

    `only_measurements` are the names of the stored service times that may be known (None: all).
    """
    catalogues: dict[Path | None, Catalogue] = {}
    digest = locked_digest_from(opened.lock)
    resolved, _, found = resolve_loaded(
        opened.loaded, catalogues, locked_digest=digest, only_measurements=only_measurements
    )
    return resolved, () if resolved is not None else tuple(each for each in found if has_errors((each,)))


def stale_inputs(opened: LockedSpec, entry: LockEntry) -> tuple[str, ...]:
    """Names of the inputs of an entry that changed since it was locked."""
    statuses = check_lock(opened.loaded.workspace, (opened.loaded.path,)).statuses
    return next((s.inputs for s in statuses if s.target == entry.target and s.status == "stale"), ())


def entry_of(opened: LockedSpec, target: str | None) -> tuple[LockEntry | None, tuple[Diagnostic, ...]]:
    """The one locked deployment that is meant, or why it is not clear which."""
    loaded, entries = opened.loaded, opened.entries
    found = [entry for entry in entries if target is None or entry.target == target]
    if len(found) == 1:
        return found[0], ()
    known = ", ".join(entry.target for entry in entries)
    label = f"{loaded.name} @ {target}" if target else loaded.name
    if found:
        message, help = f"{loaded.name} is locked for several targets", f"name one with --target: {known}"
        return None, (Diagnostic(id="drift-target", message=message, help=help),)
    return None, (not_locked(loaded, label, known),)


def not_locked(loaded: LoadedSpec, label: str, known: str) -> Diagnostic:
    """The diagnostic that the lock does not hold a deployment; `known` are the targets that it holds."""
    return Diagnostic(
        id="lock-missing",
        message=f"infc.lock holds no deployment {label}",
        notes=(f"it holds the targets {known}",) if known else (),
        help=f"run `infc compile {loaded.path.as_posix()}` and commit infc.lock",
    )
