"""What a run says: words with the time since its start for people, one JSON object a line for the device's log."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Iterator  # noqa: UP035 - Python 3.8

LOG_BYTES = 1 << 20
"""Size from which a log file is set aside; two older ones are kept."""
OLDER_LOGS = 2


class Teller:
    """Tells what a run does: on standard error and, once the name of the deployment is known, in its log.

    Neither ever stops a run: an operator's connection may be gone, the disk may be full.
    """

    def __init__(self, run: str, log: Path) -> None:
        self.run, self.log = run, log
        self.name: str | None = None
        self.step = ""
        self.steps: list[dict[str, Any]] = []
        self.started_s = time.monotonic()
        self.step_started_s = self.started_s

    def begin(self, step: str) -> None:
        """A step begins."""
        self.step, self.step_started_s = step, time.monotonic()
        self._show(step)
        self._log("begun", "", {})

    def end(self, words: str = "", **facts: Any) -> None:
        """The step is done."""
        seconds = round(time.monotonic() - self.step_started_s, 3)
        self.steps.append({"step": self.step, "seconds": seconds})
        if words:
            self._show(f"{self.step}: {words}")
        self._log("done", words, {"seconds": seconds, **facts})

    def say(self, words: str) -> None:
        """Progress within a step."""
        self._show(f"{self.step}: {words}" if self.step else words)
        self._log("note", words, {})

    def fail(self, words: str, **facts: Any) -> None:
        """The step failed, or the run did."""
        self._log("failed", words, facts)

    def finish(self, code: int, words: str) -> None:
        """The run is over."""
        self.step = ""
        self._log("ended", words, {"code": code})

    def _show(self, words: str) -> None:
        try:
            print(f"[{time.monotonic() - self.started_s:7.1f} s] {words}", file=sys.stderr, flush=True)
        except BrokenPipeError:
            nobody_listens()
        except (OSError, ValueError):
            return

    def _log(self, outcome: str, words: str, facts: dict[str, Any]) -> None:
        if self.name is None:
            return
        event = {"time": now(), "run": self.run, "step": self.step, "outcome": outcome, "words": words, **facts}
        path = self.log / f"{self.name}.jsonl"
        try:
            self.log.mkdir(parents=True, exist_ok=True)
            set_aside(path)
            handle = os.open(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, (json.dumps(event, sort_keys=True) + "\n").encode())
            finally:
                os.close(handle)
        except OSError as error:
            self._show(f"(not logged: {error.strerror})")


def nobody_listens() -> None:
    """Let what goes to standard error go nowhere: the words that are still buffered would fail again at every flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def now() -> str:
    """The time in UTC, as ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def set_aside(path: Path) -> None:
    """Rename a log that has grown large to `.1`, and `.1` to `.2`."""
    if not path.exists() or path.stat().st_size < LOG_BYTES:
        return
    for number in range(OLDER_LOGS, 0, -1):
        older = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            os.replace(str(older), f"{path}.{number}")


def events_of(log: Path, name: str) -> Iterator[dict[str, Any]]:
    """Events of a deployment, oldest first; lines that a full disk cut are left out."""
    path = log / f"{name}.jsonl"
    for file in [path.with_name(f"{path.name}.{number}") for number in range(OLDER_LOGS, 0, -1)] + [path]:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event
