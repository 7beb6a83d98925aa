"""A lock by what a user calls it: a file, a folder, a git revision, or a file at a git revision."""

import shutil
import subprocess
from pathlib import Path

from infc.diag import Diagnostic, ToolError
from infc.lock import Lock, read_lock
from infc.lock.document import lock_from_text
from infc.spec import Workspace


def lock_at(reference: str, workspace: Workspace) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    """The lock that `reference` names.

    A path that exists is read; a folder's lock is its infc.lock. `REV:path` is a file of a git revision (from the top
    of the repository, or from here with `./`), and a bare revision is the lock of this workspace as it was then.

    Raises:
        ToolError: there is neither such a file nor such a revision, or git is not installed.
    """
    path = Path(reference)
    if path.is_dir():
        return read_lock(path / workspace.lock.name)
    if path.exists():
        return read_lock(path)
    revision, _, inside = reference.partition(":")
    if not revision or revision.startswith("-") or "\0" in reference:
        raise ToolError(f"{reference} is neither a file nor a git revision")
    text = _show(revision, inside or f"./{workspace.lock.name}", workspace.root if not inside else Path.cwd())
    return lock_from_text(text, reference)


def _show(revision: str, inside: str, folder: Path) -> str:
    git = shutil.which("git")
    if git is None:
        raise ToolError("comparing with a git revision needs git", help="install git, or name two lock files")
    done = subprocess.run(
        [git, "-C", str(folder), "show", f"{revision}:{inside}"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout.decode("utf-8", errors="replace")
    reason = done.stderr.decode("utf-8", errors="replace").strip().removeprefix("fatal: ").splitlines()
    raise ToolError(
        f"{revision}:{inside} is neither a file nor in git",
        help=reason[0] if reason else "name a lock file or a git revision",
    )
