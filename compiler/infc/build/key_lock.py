"""One build per key at a time on a machine: a lock file that the kernel releases however its holder ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.1


@contextmanager
def key_lock(folder: Path, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a key in `folder` for the block; `on_wait` is called once if another holds it.

    Threads and processes alike wait for each other. The file is removed with the lock; a holder that was killed
    leaves the file behind, unlocked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".lock-{key}"
    handle = _acquired(path, on_wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquired(path: Path, on_wait: Callable[[], None]) -> int:
    """A descriptor that holds the lock of the file that is at `path` now, not of one that was removed meanwhile."""
    has_waited = False
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            while not _try_lock(handle):
                if not has_waited:
                    on_wait()
                    has_waited = True
                time.sleep(_POLL_S)
            if _is_still(path, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
