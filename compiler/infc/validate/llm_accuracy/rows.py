"""The rows of a language model's accuracy test: read from `.jsonl`, checked against the metric."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.diag import Diagnostic
from infc.validate.accuracy.dataset import MIN_SAMPLES

MOST_ROWS = 200_000
LARGEST_BYTES = 512 * 1024 * 1024
Row: TypeAlias = Mapping[str, object]
_FIELDS = {"perplexity": ("text",), "exact_match": ("prompt", "answer")}
_SHAPE = {"perplexity": '{"text": "..."}', "exact_match": '{"prompt": "...", "answer": "..."}'}


@dataclass(frozen=True, kw_only=True)
class TextRows:
    """Rows as the model is asked them: `text`, or `prompt` (text, or messages of a chat) and `answer`.

    `digest` is the sha256 of the file. `parts` is each row's value of `slices`, None where rows have none.
    """

    digest: str
    rows: tuple[Row, ...]
    parts: npt.NDArray[np.str_] | None

    @property
    def lengths(self) -> npt.NDArray[np.float64]:
        """Letters of each text or prompt."""
        return np.array([float(len(str(row.get("text", row.get("prompt"))))) for row in self.rows])


def read_rows(path: Path, metric: str) -> TextRows | Diagnostic:
    """The rows of a file; the first thing that is wrong with it else. Blank lines are no rows."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return _unreadable(path, f"it is larger than {LARGEST_BYTES >> 20} MiB")
        content = path.read_bytes()
        lines = content.decode("utf-8").split("\n")
    except FileNotFoundError:
        return Diagnostic(
            id="dataset-not-found",
            message=f"there is no file {path.name}",
            help="create it, or correct accuracy.dataset; paths are relative to the spec",
        )
    except OSError as error:
        return _unreadable(path, str(error.strerror))
    except UnicodeDecodeError:
        return _unreadable(path, "it is not UTF-8")
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _row(line, metric)
        if isinstance(row, str):
            return Diagnostic(
                id="dataset-labels",
                message=f"{path.name}, line {number}: {row}",
                help=f"{metric} takes one row a line: {_SHAPE[metric]}",
            )
        rows.append(row)
    if not MIN_SAMPLES <= len(rows) <= MOST_ROWS:
        return Diagnostic(
            id="dataset-too-small" if len(rows) < MIN_SAMPLES else "dataset-unreadable",
            message=f"{path.name} has {len(rows)} rows, from {MIN_SAMPLES} to {MOST_ROWS} are taken",
            help="add rows" if len(rows) < MIN_SAMPLES else "keep a sample of them",
        )
    named = [row.get("slices") for row in rows]
    has_parts = all(isinstance(part, str) for part in named)
    return TextRows(
        digest=hashlib.sha256(content).hexdigest(), rows=tuple(rows), parts=np.array(named, str) if has_parts else None
    )


def _row(line: str, metric: str) -> Row | str:
    """The row of a line, or what is wrong with it."""
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return "this is no JSON"
    if not isinstance(row, dict):
        return "this is no JSON object"
    return next(_missing(row, metric), row)


def _missing(row: Row, metric: str) -> Iterator[str]:
    for name in _FIELDS[metric]:
        value = row.get(name)
        is_text = isinstance(value, str) and bool(value.strip())
        if not is_text and not (name == "prompt" and _is_chat(value)):
            yield f"it has no `{name}`" if name not in row else f"`{name}` is no text"


def _is_chat(value: object) -> bool:
    """Whether a prompt is a list of messages, as the chat API takes them."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(each, dict) and isinstance(each.get("role"), str) and isinstance(each.get("content"), str)
            for each in value
        )
    )


def _unreadable(path: Path, reason: str) -> Diagnostic:
    return Diagnostic(
        id="dataset-unreadable",
        message=f"cannot read {path.name}: {reason}",
        help="write one JSON object a line, in UTF-8",
    )
