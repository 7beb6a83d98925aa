"""What plans are compared with: the lock as it is, or lock and specs as they were where a branch began."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infc.diag import DiagnosticError, ToolError
from infc.lock.blocks import LockBlock, blocks_of, lock_blocks
from infc.lock.document import lock_from_text
from infc.pipeline.git import Repository, check_reference
from infc.pipeline.spec_base import inside_of
from infc.spec import Workspace

_LOCK_STALE = 4


@dataclass(frozen=True, kw_only=True)
class Base:
    """What a user asked to compare with: a git revision, or None for the lock."""

    revision: str | None = None


@dataclass(kw_only=True)
class RevisionBase:
    """The merge base of HEAD and a revision, in one repository. `differing` are the paths that are not as they were."""

    repository: Repository
    revision: str
    commit: str
    differing: frozenset[str]
    _locks: dict[Path, tuple[LockBlock, ...]] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """`origin/main (1f2e3d4)`."""
        return f"{self.revision} ({self.commit[:7]})"

    def lock(self, workspace: Workspace) -> tuple[LockBlock, ...]:
        """The lock of a workspace as it was; empty where it had none.

        Raises:
            DiagnosticError: it was no lock.
        """
        if workspace.root not in self._locks:
            inside = inside_of(self.repository.top, workspace.lock)
            data = None if inside is None else self.repository.read(self.commit, inside)
            self._locks[workspace.root] = () if data is None else blocks_from(data, f"{self.revision}:{inside}")
        return self._locks[workspace.root]


def blocks_from(data: bytes, shown: str) -> tuple[LockBlock, ...]:
    """The entries of a lock, unparsed as far as possible.

    Raises:
        DiagnosticError: it is no lock; `shown` is its name in messages.
    """
    text = data.decode("utf-8", errors="replace")
    blocks = lock_blocks(text)
    if blocks is None:
        lock, problems = lock_from_text(text, shown)
        if lock is None:
            raise DiagnosticError(problems, exit_code=_LOCK_STALE)
        blocks = blocks_of(lock)
    return blocks


def revision_bases(revision: str, workspaces: Iterable[Workspace]) -> dict[Path, RevisionBase]:
    """The base in each repository of the workspaces, by the repository's top.

    Raises:
        ToolError: a workspace is in no repository, there is no such revision, or it has nothing in common with HEAD.
    """
    check_reference(revision)
    found: dict[Path, RevisionBase] = {}
    for workspace in workspaces:
        top = workspace.boundary
        if top in found:
            continue
        if not (top / ".git").exists():
            help = "run `git init` and commit, or leave out --base to compare with infc.lock"
            raise ToolError(f"{workspace.root} is in no git repository, so there is no {revision}", help=help)
        repository = Repository(top=top)
        commit = repository.merge_base(revision)
        differing = repository.differing(commit)
        differing |= frozenset(_aliases(repository, differing))
        found[top] = RevisionBase(repository=repository, revision=revision, commit=commit, differing=differing)
    return found


def _aliases(repository: Repository, differing: frozenset[str]) -> Iterator[str]:
    """What differs by the names that symbolic links give it."""
    for link in repository.links():
        target = inside_of(repository.top, repository.top / link)
        for path in differing if target is not None else ():
            if path == target or path.startswith(f"{target}/"):
                yield link + path.removeprefix(target or "")
            elif path.endswith("/") and f"{target}/".startswith(path):
                yield link
