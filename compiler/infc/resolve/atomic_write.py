"""One small file, written so that a reader (or a kill) sees the old one or the new one, never half."""

import contextlib
import os
import stat
from pathlib import Path

_MODE = 0o644


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text; see `write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write a file, readable for all whatever the umask. Creates the folder. An unchanged file is not touched.

    What is no file but leads somewhere (`/dev/stdout`, a pipe) is written to as it is.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    if _is_stream(path):
        with path.open("wb") as stream:
            stream.write(data)
        return
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), _MODE)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _is_stream(path: Path) -> bool:
    """Whether a path is a device, a pipe or a name of an open file, which must never be replaced by a file."""
    folder = os.path.realpath(path.parent)
    if folder == "/dev" or folder.startswith("/proc/"):
        return path.exists()
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
