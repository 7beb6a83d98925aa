"""Files of a job: read and written so that nobody sees half of one."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

FORMAT_VERSION = "1.0"
CHUNK = 1 << 20


class UnacceptableError(Exception):
    """The job cannot be taken, for the reason given."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=str(path.parent))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, str(path))
    except BaseException:
        os.unlink(name)
        raise


def file_facts(path: Path) -> dict[str, Any]:
    """Name, sha256 and size of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return {"name": path.name, "digest": digest.hexdigest(), "size_bytes": path.stat().st_size}


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises UnacceptableError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnacceptableError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UnacceptableError(f"{path.name} holds no object")
    return value
