"""What a checkpoint answers on rows of text: a worker with transformers asks it, and the answers stay in a cache."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from infc.diag import Diagnostic
from infc.lower.llm import LlmCompressor, worker_environment
from infc.resolve.atomic_write import write_text_atomically
from infc.resolve.process import Processes
from infc.validate.llm_accuracy.rows import TextRows

WORKER = Path(__file__).with_name("score_worker.py")
"""Runs in another environment; never imported."""
LONGEST_TOKENS = 2048
"""Tokens of a row that count at most: more cost memory and say little more."""
ANSWER_SLACK = 8
"""Tokens beyond the longest answer of a batch: enough to see that a model goes on."""
BATCH = 8
TIMEOUT_S = 6 * 3600
ANSWERS_VERSION = 1
"""Raise it when the worker asks differently: it is part of the cache's keys."""
_ALARM = -14
Progress: TypeAlias = Callable[[str, int, int], None]
"""Takes what is done, how many rows of how many."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A checkpoint to ask: its folder, the digest of its files, and what progress calls it."""

    folder: Path
    digest: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked: rows, a metric, at most `longest` tokens a row."""

    rows: TextRows
    metric: str
    longest: int


def ask(
    subject: Subject, question: Question, tool: LlmCompressor, cache: Path | None, progress: Progress
) -> Sequence[object] | Diagnostic:
    """The worker's answer for every row, in order; from `cache` where this very checkpoint was asked before."""
    rows = question.rows
    kept = None if cache is None else cache / f"answers-{_key(subject, question, tool)}.json"
    known = None if kept is None else _read(kept, len(rows.rows))
    if known is not None:
        return known
    with tempfile.TemporaryDirectory(prefix="infc-") as name:
        job = {
            "model": str(subject.folder.absolute()),
            "metric": question.metric,
            "rows": [dict(row) for row in rows.rows],
            "longest": question.longest,
            "slack": ANSWER_SLACK,
            "batch": BATCH,
            "timeout_s": TIMEOUT_S,
        }
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")

        def told(line: str) -> None:
            if line.isdigit():
                progress(subject.words, int(line), len(rows.rows))

        command = [str(tool.python), "-I", str(WORKER), name]
        ended = Processes().run(command, told, worker_environment())
        found = _read(folder / "result.json", len(rows.rows)) if ended.exit_code == 0 else None
        if found is None:
            return _failed(subject, ended.exit_code, ended.last_lines)
    if kept is not None:
        write_text_atomically(kept, json.dumps(found) + "\n")
    return found


def _key(subject: Subject, question: Question, tool: LlmCompressor) -> str:
    parts = (subject.digest, question.rows.digest, question.metric, question.longest, ANSWERS_VERSION)
    return hashlib.sha256(json.dumps([*parts, dict(tool.toolchain)], sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path, count: int) -> list[object] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) and len(found) == count else None


def _failed(subject: Subject, exit_code: int, last_lines: Sequence[str]) -> Diagnostic:
    if exit_code == _ALARM:
        reason: tuple[str, ...] = (f"it took longer than {TIMEOUT_S} s",)
    else:
        killed = (f"signal {-exit_code}: out of memory?",) if exit_code < 0 else ()
        reason = (*[line for line in last_lines if line.strip()][-3:], *killed)
    return Diagnostic(
        id="accuracy-cannot-run",
        message=f"{subject.words} cannot run on this machine",
        notes=reason,
        help="compile on a machine with more memory or a GPU, or allow another precision",
    )
