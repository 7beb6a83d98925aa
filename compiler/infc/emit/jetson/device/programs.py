"""Programs of the device that this one runs: found on PATH or where JetPack puts them, never through a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Sequence  # noqa: UP035 - Python 3.8

from .codes import NOT_READY, Refusal

PROGRAM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/src/tensorrt/bin")
"""Folders that are looked through after PATH: a service or an ssh command may have a short one."""


def find_program(name: str) -> str | None:
    """Path of a program; None when it is not on this device."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *PROGRAM_FOLDERS]))


def required_program(name: str, why: str) -> str:
    """Path of a program that is needed to go on. Raises Refusal 30."""
    found = find_program(name)
    if found is None:
        raise Refusal(NOT_READY, f"{name} is not installed: {why}", f"install the package that has {name}")
    return found


def output_of(command: Sequence[str], timeout_s: float = 60.0) -> str | None:
    """What a short command prints on standard output; None when it cannot run, fails or takes too long."""
    try:
        answer = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None
