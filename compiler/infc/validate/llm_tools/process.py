"""Runs another program to its end, or ends it with everything that it started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from infc.diag import ToolError

_GRACE_S = 5.0
_TOLD_LINES = 5


def run_to_end(command: Sequence[str], *, log: Path, environment: Mapping[str, str], timeout_s: float) -> None:
    """Run a program; what it says goes to a file. Its processes are ended when it takes too long or this one is ended.

    Raises:
        ToolError: it failed or took too long; with its last words.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=log.parent,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"{Path(command[0]).name} did not end within {timeout_s:.0f} s", help=f"it says: {last_words(log)}"
            ) from None
        finally:
            _end(process)
    if code != 0:
        raise ToolError(f"{Path(command[0]).name} failed (exit {code})", help=f"it says: {last_words(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it started, which is in its process group: gently, and then what is left of it.

    guidellm 0.8.1 leaves its workers when it is ended.
    """
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)


def last_words(log: Path) -> str:
    """The last lines of a program's log."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-_TOLD_LINES:])[:1000] or "nothing"
