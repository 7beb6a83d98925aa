"""The oldest Python that the program on the device runs under, for tests."""

import functools
import shutil
import subprocess
from pathlib import Path

import pytest


@functools.cache
def _found() -> str | None:
    """An interpreter that works, from PATH or pyenv."""
    candidates = [shutil.which("python3.8"), *Path.home().glob(".pyenv/versions/3.8*/bin/python3.8")]
    for path in filter(None, candidates):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(path)
    return None


def python_3_8() -> str:
    """Its path; skips the test where there is none."""
    found = _found()
    if found is None:
        pytest.skip("no Python 3.8 here")
    return found
