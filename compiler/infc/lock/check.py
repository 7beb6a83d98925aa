"""Whether the lock still follows from its inputs: offline, without planning, without model weights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from infc.lock.values import InputDigests, Lock, LockedRelease, LockEntry

Status: TypeAlias = Literal["ok", "outdated", "stale", "missing", "orphan"]
_SAY_PENDING = frozenset({"README.md", "launch.sh", "Dockerfile"})
"""Files of a bundle that say that its engine is missing, or with what it was built."""

FAILING: tuple[Status, ...] = ("stale", "missing", "orphan")


@dataclass(frozen=True, kw_only=True)
class CurrentArtifact:
    """A deployment as its inputs are now. `target` and `inputs` are None for a spec of which nothing is locked."""

    name: str
    spec: str
    target: str | None
    inputs: InputDigests | None


@dataclass(frozen=True, kw_only=True)
class EntryStatus:
    """How one deployment stands.

    ok: every input is the locked one. outdated: other measurements or devices are known now, a new plan may differ.
    stale: an input changed (`inputs` says which). missing: not locked. orphan: locked, but its spec is gone or no
    longer has that name.
    """

    name: str
    target: str | None
    spec: str
    status: Status
    inputs: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`name @ target`."""
        return f"{self.name} @ {self.target}" if self.target else self.name


def check(lock: Lock, current: Iterable[CurrentArtifact], *, is_complete: bool) -> tuple[EntryStatus, ...]:
    """The status of every current deployment and, when `current` is complete, of every locked one, sorted."""
    seen: set[tuple[str, str]] = set()
    statuses = []
    for artifact in current:
        statuses.append(_status(lock, artifact))
        if artifact.target is not None:
            seen.add((artifact.name, artifact.target))
    if is_complete:
        statuses += [
            EntryStatus(name=entry.name, target=entry.target, spec=entry.spec, status="orphan")
            for entry in lock.entries
            if entry.address not in seen
        ]
    return tuple(sorted(statuses, key=lambda status: (status.name, status.target or "")))


def holds(locked: LockEntry, compiled: LockEntry) -> bool:
    """Whether a compile came to what is locked.

    What the lock leaves open does not count: an engine that was pending (its key counts, where it is known), files that
    were not emitted yet, accuracy that was not measured yet. Nor do advisory inputs.
    """
    if locked.inputs.changed(compiled.inputs):
        return False
    if (locked.address, locked.spec, locked.choice, locked.predicted) != (
        compiled.address,
        compiled.spec,
        compiled.choice,
        compiled.predicted,
    ):
        return False
    if locked.accuracy not in (None, compiled.accuracy):
        return False
    was_pending = locked.engine.is_pending and not compiled.engine.is_pending
    open_files = _SAY_PENDING if was_pending else frozenset()
    if locked.release is not None and not _is_same_release(locked.release, compiled.release):
        return False
    if locked.files and _without(locked.files, open_files) != _without(compiled.files, open_files):
        return False
    if locked.engine.is_pending and locked.engine.key is None:
        return (locked.engine.kind, locked.engine.inputs) == (compiled.engine.kind, compiled.engine.inputs)
    if was_pending:
        return replace(locked.engine, is_pending=False, toolchain=compiled.engine.toolchain) == compiled.engine
    return locked.engine == compiled.engine


def _is_same_release(locked: LockedRelease, compiled: LockedRelease | None) -> bool:
    """The content digest may differ in the last bits of reference outputs, which depend on the processor."""
    return compiled is not None and (locked.version, locked.repeats) == (compiled.version, compiled.repeats)


def _without(files: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {path: digest for path, digest in files.items() if path not in names}


def _status(lock: Lock, artifact: CurrentArtifact) -> EntryStatus:
    entry = lock.find(artifact.name, artifact.target) if artifact.target is not None else None
    status: Status = "ok"
    inputs: tuple[str, ...] = ()
    if entry is None or artifact.inputs is None:
        status = "missing"
    elif changed := entry.inputs.changed(artifact.inputs):
        status, inputs = "stale", changed
    elif outdated := entry.inputs.outdated(artifact.inputs):
        status, inputs = "outdated", outdated
    return EntryStatus(name=artifact.name, target=artifact.target, spec=artifact.spec, status=status, inputs=inputs)
