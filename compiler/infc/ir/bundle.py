"""What a compile emits: files as bytes, before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A deployment as path -> content. Paths are relative, POSIX, sorted.

    A value is either bytes, or a `Path` to an existing file that the writer copies (engines are large).
    """

    name: str
    target: str
    files: Mapping[str, bytes | Path]
