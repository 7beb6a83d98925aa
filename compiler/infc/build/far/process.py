"""Processes that a build starts: followed line by line, never left behind."""

from __future__ import annotations

import ctypes
import platform
import signal
import subprocess
from typing import Callable  # noqa: UP035 - Python 3.8

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have Linux end this process when its parent ends, however it ends: nobody would read the engine."""
    ender()()


def ender() -> Callable[[], None]:
    """What a new process does to end with its parent. Made before it is started: after a fork, loading may deadlock."""
    if platform.system() != "Linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)) and None


def followed(command: list[str], on_line: Callable[[str], None]) -> tuple[int, list[str]]:
    """Run a command that ends with this process; each line that it prints is handed over. Its exit code, all lines."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=ender(),
    )
    lines = []
    try:
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            on_line(lines[-1])
        return process.wait(), lines
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
