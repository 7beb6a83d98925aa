"""One small file, written so that a reader (or a kill) sees the old one or the new one, never half."""

import contextlib
import os
from pathlib import Path

_MODE = 0o644


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text; see `write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write a file, readable for all whatever the umask. Creates the folder. An unchanged file is not touched.

    Raises:
        OSError: the folder or the file cannot be written.
    """
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
