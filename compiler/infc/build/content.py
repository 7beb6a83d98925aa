"""Files of jobs and results by their content: digests, and reading that follows no link out of a folder."""

import hashlib
import os
import stat
from pathlib import Path

from infc.ir.job import ContentFile

_CHUNK = 1 << 20


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def content_file(path: Path) -> ContentFile:
    """Name, digest and size of a file as it is now."""
    return ContentFile(name=path.name, digest=file_digest(path), size_bytes=path.stat().st_size)


def is_plain_file(path: Path) -> bool:
    """Whether it is a regular file itself: no link (which may lead anywhere), folder, pipe or device.

    Raises OSError when it cannot be looked at, FileNotFoundError when it is not there.
    """
    return stat.S_ISREG(path.lstat().st_mode)


def content_problem(path: Path, stated: ContentFile) -> str | None:
    """How a file differs from what is stated of it, in words; None when it is that file."""
    size = path.stat().st_size
    if size != stated.size_bytes:
        return f"it has {size} bytes, not {stated.size_bytes}"
    digest = file_digest(path)
    return None if digest == stated.digest else f"its sha256 is {digest[:12]}..., not {stated.digest[:12]}..."


def read_plain(path: Path, limit_bytes: int) -> bytes:
    """The content of a small regular file that is no link.

    Raises OSError; among them those of a link (ELOOP), a special file and one above the limit.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(f"{path.name} is not a regular file")
        if state.st_size > limit_bytes:
            raise OSError(f"{path.name} has {state.st_size} bytes, more than {limit_bytes}")
        return file.read(limit_bytes + 1)
