"""Changes to files that a loss of power leaves done or not done, and what a full disk looks like."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from .codes import FAILED, NOT_READY, Refusal

_WRITING = ".writing"


def is_full(error: OSError) -> bool:
    """Whether an error says that nothing more can be written: disk, quota or file size."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refusal_of(error: OSError) -> Refusal:
    """What an error of the operating system means here: a disk that takes nothing is code 30, anything else 1.

    >>> refusal_of(OSError(errno.EROFS, "Read-only file system", "/opt/infc")).code
    30
    """
    where = error.filename or "the device"
    if is_full(error):
        return Refusal(NOT_READY, f"{where}: {error.strerror}", "free disk space, then run the same command again")
    if error.errno == errno.EROFS:
        help = "have what is kept under /opt/infc on a disk that can be written, then run the same command again"
        return Refusal(NOT_READY, f"{where}: {error.strerror}", help)
    is_forbidden = error.errno in (errno.EACCES, errno.EPERM)
    help = "run it as root" if is_forbidden else "put that right, then run the same command again"
    return Refusal(FAILED, f"{where}: {error.strerror or error}", help)


def sync_folder(folder: Path) -> None:
    """Have a folder's entries reach the disk."""
    handle = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file so that it is the old or the new one, also after a loss of power."""
    staged = path.with_name(f".{path.name}{_WRITING}")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(str(staged), str(path))
    except OSError:
        remove_file(staged)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace a file by a JSON object, as `write_durably` does."""
    write_durably(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object of a file; None when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def set_link(link: Path, target: str | None) -> None:
    """Make `link` lead to `target`, in one step; None takes it away."""
    if target is None:
        remove_file(link)
    else:
        staged = link.with_name(f".{link.name}{_WRITING}")
        remove_file(staged)
        os.symlink(target, str(staged))
        os.replace(str(staged), str(link))
    sync_folder(link.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_durably` and `set_link` had begun in a folder when their run was cut off."""
    for path in folder.glob(f".*{_WRITING}"):
        remove_file(path)


def remove_file(path: Path) -> None:
    """Remove a file or link if it is there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it if it is there; a link is removed, not followed."""
    if folder.is_symlink() or folder.is_file():
        remove_file(folder)
    elif folder.is_dir():
        shutil.rmtree(str(folder))
