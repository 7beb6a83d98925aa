"""What one spec is compared with, in a form that passes between processes; and the texts that it stands for."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infc.lock import Lock
from infc.lock.document import lock_from_text
from infc.lock.inputs import spec_digest
from infc.pipeline.git import Repository
from infc.spec import LoadedSpec, Workspace, load_spec_bytes

_VERSIONS = 8
"""How far back the text that was locked is looked for."""


@dataclass(frozen=True, kw_only=True)
class SpecBase:
    """The other side of a comparison.

    `locked` is a lock with the entries of this spec there, empty where it has none. `commit` is the one that the spec
    is compared with; None: its own lock, and the text that was locked is looked for in git. `catalogue` are files of
    the workspace's `targets/` that differ from the base; `is_policy_changed` says that its policy does.
    `has_causes`: plan again with one input changed at a time, where several changed.
    """

    locked: str = ""
    commit: str | None = None
    catalogue: tuple[str, ...] = ()
    is_policy_changed: bool = False
    has_causes: bool = False

    def lock(self) -> Lock:
        """The entries."""
        lock = lock_from_text(self.locked, "infc.lock")[0] if self.locked else None
        return lock or Lock()

    def words(self) -> str:
        """All of it as part of a key, but entries of the lock itself, which are part of it anyway."""
        return base_text(self if self.commit is not None else replace(self, locked=""))


def base_text(base: SpecBase) -> str:
    """The base as one line."""
    return json.dumps(asdict(base), sort_keys=True)


def base_from_text(text: str) -> SpecBase:
    """The base that was written."""
    document = json.loads(text)
    return SpecBase(**{**document, "catalogue": tuple(document["catalogue"])})


class OldSpecs:
    """Specs as they were, read through git; `close` ends its processes."""

    def __init__(self) -> None:
        self._repositories: dict[Path, Repository | None] = {}

    def close(self) -> None:
        """End the processes of git."""
        for repository in self._repositories.values():
            if repository is not None:
                repository.close()
        self._repositories.clear()

    def at(self, commit: str, spec: Path, workspace: Workspace) -> LoadedSpec | None:
        """A spec as it was in a commit; None when it was not there."""
        repository = self._repository(workspace)
        inside = None if repository is None else inside_of(repository.top, spec)
        if repository is None or inside is None:
            return None
        data = repository.read(commit, inside)
        return None if data is None else load_spec_bytes(data, spec, _reader(repository, commit))

    def locked(self, digest: str, spec: Path, workspace: Workspace) -> LoadedSpec | None:
        """The last version of a spec in git that says what has this digest; None when there is none nearby."""
        repository = self._repository(workspace)
        inside = None if repository is None else inside_of(repository.top, spec)
        if repository is None or inside is None:
            return None
        for commit in ("HEAD", *repository.history(inside, _VERSIONS)):
            found = self.at(commit, spec, workspace)
            read = None if found is None else found.spec or found.partial
            if read is not None and spec_digest(read) == digest:
                return found
        return None

    def _repository(self, workspace: Workspace) -> Repository | None:
        top = workspace.boundary
        if top not in self._repositories:
            self._repositories[top] = _opened(top)
        return self._repositories[top]


def _opened(top: Path) -> Repository | None:
    if not (top / ".git").exists() or shutil.which("git") is None:
        return None
    repository = Repository(top=top)
    return repository if repository.has_commits() else None


def inside_of(top: Path, path: Path) -> str | None:
    """A path relative to the top of its repository, POSIX, with links followed; None outside of it."""
    real = Path(os.path.realpath(path))
    return real.relative_to(top).as_posix() if real.is_relative_to(top) else None


def _reader(repository: Repository, commit: str) -> Callable[[Path], bytes | None]:
    def read(path: Path) -> bytes | None:
        inside = inside_of(repository.top, path)
        return None if inside is None else repository.read(commit, inside)

    return read
