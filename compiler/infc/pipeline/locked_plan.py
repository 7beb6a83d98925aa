"""The plan that a locked compile starts from: the one that the lock holds, made again."""

from pathlib import Path

from infc.lock import Lock
from infc.pipeline.locking import decided_entries
from infc.pipeline.plan import PlannedSpec, locked_digest_from, plan_spec
from infc.spec import find_workspace


def locked_plan(path: Path, lock: Lock | None, overlay: Path | None) -> PlannedSpec:
    """Plan a spec to what its lock holds.

    A plan rests on what is stored of every device, also of those that it rejects, and the lock names the figures of its
    own device alone. So it is made with everything that is stored; and where that comes to something else, because of
    figures that are newer than the lock, with those that the lock names: newer ones make a lock outdated, not stale.
    """
    locked_digest = locked_digest_from(lock)
    planned = plan_spec(path, overlay=overlay, locked_digest=locked_digest)
    if lock is None or not planned.decisions or _is_locked(planned, lock):
        return planned
    return plan_spec(
        path, overlay=overlay, locked_digest=locked_digest, only_measurements=_locked_measurements(path, lock)
    )


def _is_locked(planned: PlannedSpec, lock: Lock) -> bool:
    """Whether every decision, with what is predicted of it, is the locked one."""
    decided = decided_entries(planned, lock)
    found = [(entry, lock.find(*entry.address)) for _, entry in decided]
    return bool(found) and all(
        known is not None and (known.choice, known.predicted) == (entry.choice, entry.predicted)
        for entry, known in found
    )


def _locked_measurements(path: Path, lock: Lock) -> frozenset[str]:
    """Names of the stored figures that the lock's entries of a spec name."""
    spec = path.resolve().relative_to(find_workspace(path).root).as_posix()
    return frozenset(name for entry in lock.of_spec(spec) for name in entry.inputs.profiles)
