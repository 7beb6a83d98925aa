"""Reads result files of other tools: bounded, strict about types, lenient about fields that are of no use here."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 512 << 20
MAX_LINES = 2_000_000

Document: TypeAlias = Mapping[str, object]


class ResultFileError(Exception):
    """A file is no result that can be read; the text says why."""


def read_documents(path: Path) -> list[Document]:
    """The JSON objects of a file: one of a `.json`, one a line of a JSON Lines file.

    Raises:
        ResultFileError: it cannot be read, is too long, or is not JSON.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ResultFileError(f"it has {size} bytes, more than the {MAX_BYTES} that are read")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultFileError(error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise ResultFileError("it is not text") from error
    whole = _parsed(text)
    if whole is not None:
        return [whole]
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if number > MAX_LINES:
            raise ResultFileError(f"it has more than {MAX_LINES} lines")
        if not line.strip():
            continue
        document = _parsed(line)
        if document is None:
            raise ResultFileError(f"line {number} is not a JSON object")
        found.append(document)
    if not found:
        raise ResultFileError("it is empty")
    return found


def _parsed(text: str) -> Document | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def section(document: object, *names: str) -> Document:
    """The object at a path of names; empty where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def rows(document: Document, name: str) -> list[Document]:
    """The objects of a list; empty where there is none."""
    value = document.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_of(document: Document, name: str) -> str:
    """Short printable text, empty where there is none."""
    value = document.get(name)
    return value[:200] if isinstance(value, str) and value.isprintable() else ""


def number(document: Document, name: str) -> float | None:
    """A finite number, None where there is none (a string such as "inf" is none)."""
    return finite(document.get(name))


def needed(document: Document, name: str, *, least: float = 0.0) -> float:
    """A finite number that the file must have.

    Raises:
        ResultFileError: it is not there, or is under the least possible.
    """
    value = number(document, name)
    if value is None or value < least:
        raise ResultFileError(f"`{name}` is not a number of at least {least:g}")
    return value


def finite(value: object) -> float | None:
    """The value, if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def floats(document: Document, name: str, count: int | None = None) -> NDArray[np.float64] | None:
    """A list of numbers as float64[count]; None where the file does not have it. What is no number is NaN.

    Raises:
        ResultFileError: it has another length.
    """
    value = document.get(name)
    if not isinstance(value, list):
        return None
    if count is not None and len(value) != count:
        raise ResultFileError(f"`{name}` has {len(value)} entries for {count} requests")
    return np.array([_or_nan(each) for each in value], dtype=np.float64)


def _or_nan(value: object) -> float:
    number = finite(value)
    return math.nan if number is None else number


def numbers_in(value: object) -> Iterator[float]:
    """The finite numbers of a list."""
    for each in value if isinstance(value, list) else []:
        number = finite(each)
        if number is not None:
            yield number
