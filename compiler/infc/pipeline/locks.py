"""The locks that a plan looks at. Imports are inside: a workspace without a lock must not pay for reading one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infc.spec import LoadedSpec, Workspace

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.lock import Lock
    from infc.pipeline.plan import PlannedSpec
    from infc.plan.savings import Savings


class Locks:
    """The locks of the workspaces that a command meets, each read once; `diagnostics` says which cannot be read.

    `known` are those that were read already, by the root of their workspace.
    """

    def __init__(self, known: "Mapping[Path, Lock | None] | None" = None) -> None:
        self._locks: dict[Path, Lock | None] = dict(known or {})
        self.diagnostics: tuple[Diagnostic, ...] = ()

    def of(self, workspace: Workspace) -> "Lock | None":
        """The lock of a workspace; None when there is none or it cannot be read."""
        if workspace.root not in self._locks:
            self._locks[workspace.root] = self._read(workspace)
        return self._locks[workspace.root]

    def model_digest(self, loaded: LoadedSpec) -> str | None:
        """The locked digest of a spec's model: its stored profile stands in for an absent file."""
        lock = self.of(loaded.workspace)
        if lock is None:
            return None
        from infc.pipeline.plan import locked_digest_from

        return locked_digest_from(lock)(loaded)

    def changes(self, planned: "PlannedSpec") -> Mapping[str | None, tuple[Mapping[str, str], ...]]:
        """How each decision (by target) differs from the lock, as rows of text; none where nothing is locked at all."""
        lock = self.of(planned.loaded.workspace)
        if lock is None:
            return {}
        from infc.pipeline.locking import planned_changes

        return planned_changes(planned, lock)

    def savings(self, planned: "PlannedSpec", overlay: Path | None = None) -> "Mapping[str | None, Savings]":
        """What each decision (by target) saves over what is locked for it; none where nothing is or nothing changed."""
        lock = self.of(planned.loaded.workspace)
        if lock is None:
            return {}
        from infc.pipeline.savings import planned_savings

        return planned_savings(planned, lock, overlay)

    def _read(self, workspace: Workspace) -> "Lock | None":
        if not workspace.lock.is_file():
            return None
        from infc.lock import read_lock
        from infc.pipeline.locking import shown_path

        lock, problems = read_lock(shown_path(workspace.lock))
        self.diagnostics += problems
        return lock
