"""git, as far as infc reads it: which commit a name means, what differs from it, and files as they were.

Nothing is written: not even the index is refreshed. Paths are relative to the top of the repository, POSIX.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from infc.diag import InternalError, ToolError

_SETTINGS = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false")
_NOT_HERE = "S"
"""How `git ls-files -t` marks what a checkout leaves out (skip-worktree)."""
_NO_CACHE = ":(exclude,glob)**/.infc/**"
_FULL_CLONE = (
    "fetch the whole history: `git fetch --unshallow`, in a GitHub workflow `fetch-depth: 0`, in GitLab `GIT_DEPTH: 0`"
)


@dataclass(kw_only=True)
class Repository:
    """A git repository by its top folder. One process of git answers all reads of files; `close` ends it."""

    top: Path
    _reader: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def commit(self, reference: str) -> str:
        """The commit that a branch, tag or other name means.

        Raises:
            ToolError: there is none, with a fix; a name that could be taken for an option is refused.
        """
        check_reference(reference)
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.decode().strip()
        if b"dubious ownership" in done.stderr:
            help = f"if you trust it: git config --global --add safe.directory {self.top}"
            raise ToolError("git refuses a repository that another user owns", help=help)
        help = f"fetch it first (`git fetch origin {_branch(reference)}`), or name a branch, a tag or a commit"
        raise ToolError(f"git knows no commit {reference}", help=_FULL_CLONE if self._is_shallow() else help)

    def has_commits(self) -> bool:
        """Whether this is a repository of git with anything in it."""
        return self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").returncode == 0

    def merge_base(self, reference: str) -> str:
        """The last commit that HEAD and `reference` have in common.

        Raises:
            ToolError: there is none, with a fix.
        """
        check_reference(reference)
        done = self._run("merge-base", "--end-of-options", reference, "HEAD")
        if done.returncode == 0:
            return done.stdout.decode().strip()
        self.commit(reference), self.commit("HEAD")  # says what is wrong with one of them
        help = _FULL_CLONE if self._is_shallow() else f"name a branch that HEAD comes from instead of {reference}"
        raise ToolError(f"HEAD and {reference} have no commit in common here", help=help)

    def differing(self, commit: str) -> frozenset[str]:
        """Paths whose content here is not that of `commit`, and those that git does not keep: new and ignored ones.

        A folder of which git keeps nothing is one path that ends with a slash.
        """
        changed = self._paths("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", commit, "--")
        not_kept = ("ls-files", "--others", "--directory", "--no-empty-directory", "-z", "--", _NO_CACHE)
        others = self._paths(*not_kept)
        return frozenset((*changed, *others))

    def files(self, commit: str, suffix: str) -> tuple[str, ...]:
        """Paths in `commit` that end with `suffix`."""
        return tuple(
            path for path in self._paths("ls-tree", "-r", "-z", "--name-only", commit) if path.endswith(suffix)
        )

    def links(self) -> tuple[str, ...]:
        """Paths of the symbolic links that git keeps."""
        rows = self._paths("ls-files", "--stage", "-z")
        return tuple(row.partition("\t")[2] for row in rows if row.startswith("120000 "))

    def history(self, path: str, most: int) -> tuple[str, ...]:
        """The last commits that changed a file, newest first; none where there is no history."""
        done = self._run("log", f"--max-count={most}", "--format=%H", "--end-of-options", "HEAD", "--", path)
        return tuple(done.stdout.decode().split()) if done.returncode == 0 else ()

    def read(self, commit: str, path: str) -> bytes | None:
        """A file as it was in `commit`, None when it was not there (or was no file)."""
        if "\n" in path:
            return self._show(commit, path)
        process = self._batch()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        try:
            process.stdin.write(os.fsencode(f"{commit}:{path}\n"))
            process.stdin.flush()
            head = process.stdout.readline()
            words = head.rstrip(b"\n").rsplit(b" ", 2)
            if len(words) < 3 or not words[2].isdigit():
                return None
            data = _exactly(process.stdout, int(words[2]) + 1)[:-1]
        except OSError as error:
            raise InternalError(f"git cat-file ended early: {error}") from error
        return data if words[1] == b"blob" else None

    def close(self) -> None:
        """End the process that reads files."""
        if self._reader is None:
            return
        for stream in (self._reader.stdin, self._reader.stdout):
            if stream is not None:
                with suppress(OSError):  # it has ended already, and what it was asked last is lost
                    stream.close()
        self._reader.wait()
        self._reader = None

    def _batch(self) -> subprocess.Popen[bytes]:
        if self._reader is None:
            self._reader = subprocess.Popen(
                [*self._command(), "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the process that started it, which ends it
            )
        return self._reader

    def _show(self, commit: str, path: str) -> bytes | None:
        done = self._run("cat-file", "blob", f"{commit}:{path}")
        return done.stdout if done.returncode == 0 else None

    def _is_shallow(self) -> bool:
        return self._run("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"

    def _paths(self, *arguments: str) -> tuple[str, ...]:
        done = self._run(*arguments)
        if done.returncode != 0:
            raise ToolError(f"git {arguments[0]} failed", help=_reason(done.stderr))
        return tuple(os.fsdecode(each) for each in done.stdout.split(b"\0") if each)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._command(), *arguments], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )

    def _command(self) -> Sequence[str]:
        return (git_program(), "-C", str(self.top), *_SETTINGS)


@contextmanager
def repository(top: Path) -> Iterator[Repository]:
    """The repository, with its process ended afterwards."""
    opened = Repository(top=top)
    try:
        yield opened
    finally:
        opened.close()


def ignored_paths(folder: Path) -> frozenset[str]:
    """What git ignores below a folder, as real paths; a folder that is ignored as a whole is one path.

    Nothing where there is no repository, or no git.
    """
    names = _listed(folder, "--others", "--ignored", "--exclude-standard", "--directory")
    return frozenset(os.path.join(os.path.realpath(folder), name.rstrip("/")) for name in names)


def paths_gone(folder: Path, inside: Iterable[str]) -> tuple[str, ...]:
    """Those of the paths in a folder that are not here, and that no sparse checkout only leaves out."""
    absent = [each for each in inside if not (folder / each).exists()]
    hidden = paths_only_hidden(folder, absent)
    return tuple(each for each in absent if each not in hidden)


def paths_only_hidden(folder: Path, inside: Iterable[str]) -> frozenset[str]:
    """Those of the paths in a folder that git keeps and that a sparse checkout leaves out: not here, and not gone."""
    absent = [each for each in inside if not (folder / each).exists()]
    if not absent:
        return frozenset()
    marked = (name.partition(" ") for name in _listed(folder, "-t"))
    return frozenset(absent) & {name for tag, _, name in marked if tag == _NOT_HERE}


def _listed(folder: Path, *options: str) -> Sequence[str]:
    """What `git ls-files` prints of a folder; nothing where there is no repository, or no git."""
    here = os.path.realpath(folder)
    git = shutil.which("git")
    if git is None or not any((parent / ".git").exists() for parent in (Path(here), *Path(here).parents)):
        return ()
    done = subprocess.run(
        [git, "-C", here, *_SETTINGS, "ls-files", *options, "-z"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return [os.fsdecode(each) for each in done.stdout.split(b"\0") if each]


def git_program() -> str:
    """Where git is.

    Raises:
        ToolError: it is not installed.
    """
    found = shutil.which("git")
    if found is None:
        raise ToolError("comparing with a git revision needs git", help="install git")
    return found


def check_reference(reference: str) -> None:
    """Refuse what git could take for something else than the name of a commit.

    Raises:
        ToolError: it is empty, starts with a hyphen, or holds a control character.
    """
    if not reference or reference.startswith("-") or any(ord(c) < 32 or ord(c) == 127 for c in reference):
        shown = ascii(reference)
        raise ToolError(f"{shown} is no git revision", help="name a branch, a tag or a commit, such as origin/main")


def _branch(reference: str) -> str:
    """The branch's own name behind a remote's.

    >>> _branch("origin/main"), _branch("main")
    ('main', 'main')
    """
    return reference.removeprefix("origin/")


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise InternalError("git cat-file ended early")
    return data


def _reason(stderr: bytes) -> str | None:
    lines = stderr.decode("utf-8", errors="replace").strip().removeprefix("fatal: ").splitlines()
    return lines[0] if lines else None
