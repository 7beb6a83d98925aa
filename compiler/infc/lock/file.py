"""infc.lock on disk: read with diagnostics, written whole or not at all, by one process at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from infc.diag import Diagnostic
from infc.lock.document import lock_from_text, read_text
from infc.lock.text import text_from_lock
from infc.lock.values import Lock, LockEntry

_MODE = 0o644


def read_lock(path: Path) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    """The lock at `path`; an absent file is an empty lock. None, with errors, when the file is not a lock.

    Raises:
        OSError: the file is there and cannot be read.
    """
    shown = path.as_posix()
    text, problems = read_text(path, shown)
    if text is None:
        return (None, problems) if problems else (Lock(), ())
    return lock_from_text(text, shown)


def merge(lock: Lock, entries: Iterable[LockEntry], removed: Iterable[tuple[str, str]] = ()) -> Lock:
    """The lock with `entries` put in or replaced, and the entries at the addresses `removed` taken out."""
    kept = {entry.address: entry for entry in lock.entries}
    for address in removed:
        kept.pop(address, None)
    kept |= {entry.address: entry for entry in entries}
    return Lock(entries=tuple(kept[address] for address in sorted(kept)))


def write_lock(path: Path, lock: Lock) -> None:
    """Write the lock in one step; an unchanged file is not touched.

    Raises:
        OSError: the folder cannot be written; the old lock is still there.
    """
    with _exclusive(path) as temporary:
        _replace(path, lock, temporary)


def update_lock(
    path: Path, entries: Iterable[LockEntry], removed: Iterable[tuple[str, str]] = ()
) -> tuple[Diagnostic, ...]:
    """Read, merge and write under a lock that other infc processes respect: two compiles at once lose nothing.

    Returns: nothing, or why the present file cannot be merged with (then it is left as it is).
    """
    with _exclusive(path) as temporary:
        lock, problems = read_lock(path)
        if lock is None:
            return problems
        _replace(path, merge(lock, entries, removed), temporary)
    return ()


def _replace(path: Path, lock: Lock, temporary: int) -> None:
    data = text_from_lock(lock).encode()
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    os.ftruncate(temporary, 0)
    with os.fdopen(os.dup(temporary), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(temporary, _MODE)
        os.fsync(temporary)
    _temporary(path).replace(path)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[int]:
    """The hidden file that becomes the lock, open and locked; what a killed run left in it is overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The process that held it before us may have renamed it into place: then it is the lock now.
        if _is_same(temporary, descriptor):
            break
        os.close(descriptor)
    try:
        yield descriptor
    finally:
        if _is_same(temporary, descriptor):
            temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
