"""The process that builds: apart from the agent, so that a crash of the library or a full memory only ends itself."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable  # noqa: UP035 - Python 3.8

from infc.build.far.bindings import build_in_python
from infc.build.far.process import end_with_parent
from infc.build.far.progress import say
from infc.build.far.trtexec import build_with_trtexec

NICENESS = 10
"""Other programs of the device go first while an engine is built."""
HEARTBEAT_S = 5.0


class RunningBuild:
    """A build under way: its process, the pipe that tells its progress, its folder."""

    def __init__(self, process: int, pipe: int, work: Path) -> None:
        self.process, self.pipe, self.work = process, pipe, work
        self.started_s = time.monotonic()


def started_build(
    work: Path,
    job: dict[str, Any],
    library: dict[str, Any],
    version: str,
    tool: str | None,
    timing: Path,
    is_python_tried: bool,
) -> RunningBuild:
    """Start to build `model.onnx` of a folder: with TensorRT's Python package if it loads, else with the tool."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        os.close(writing)
        return RunningBuild(process, reading, work)
    code = 1
    try:
        end_with_parent()
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writing, 1)
        os.dup2(os.open(str(work / "errors"), os.O_WRONLY | os.O_CREAT, 0o600), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.nice(NICENESS)
        os.chdir(str(work))
        answer = _answer(job, library, version, tool, timing, is_python_tried)
        Path("answer.json").write_text(json.dumps(answer))
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _answer(
    job: dict[str, Any], library: dict[str, Any], version: str, tool: str | None, timing: Path, is_python_tried: bool
) -> dict[str, Any]:
    if is_python_tried:
        try:
            importlib.import_module(library["module"])
        except (ImportError, OSError) as error:
            if tool is None:
                return {"facts": None, "errors": [f"{library['package']} does not load: {error}"], "parse_errors": []}
            say(f"the Python package does not load ({error}); trtexec builds instead")
        else:
            return build_in_python(job, library, timing)
    return build_with_trtexec(str(tool), job, library, version, timing)


def end_of_build(build: RunningBuild, timeout_s: float, report: Callable[[str], None]) -> dict[str, Any]:
    """Follow a build to its end, telling at least every few seconds how long it takes: the builder's answer.

    However this ends, the build has ended too.
    """
    is_ended = False
    try:
        is_ended = _follow(build, timeout_s, report)
    finally:
        if not is_ended:
            os.kill(build.process, signal.SIGKILL)
        os.close(build.pipe)
        status = os.waitpid(build.process, 0)[1]
    if not is_ended:
        return {"facts": None, "errors": [f"it took longer than {timeout_s:g} s"], "parse_errors": []}
    try:
        answer = json.loads((build.work / "answer.json").read_text())
    except (OSError, ValueError):
        return {"facts": None, "errors": [_how_it_broke(build, status)], "parse_errors": []}
    return dict(answer)


def _follow(build: RunningBuild, timeout_s: float, report: Callable[[str], None]) -> bool:
    """Report what the process prints until it ends (True) or its time does."""
    told_s, rest = time.monotonic(), b""
    while True:
        now_s = time.monotonic()
        elapsed_s = now_s - build.started_s
        if elapsed_s >= timeout_s:
            return False
        if now_s - told_s >= HEARTBEAT_S:
            told_s = now_s
            report(f"building for {elapsed_s:.0f} s")
        if not select.select([build.pipe], [], [], min(1.0, timeout_s - elapsed_s))[0]:
            continue
        content = os.read(build.pipe, 1 << 16)
        if not content:
            return True
        *lines, rest = (rest + content).split(b"\n")
        for line in lines:
            told_s = time.monotonic()
            report(line.decode("utf-8", "replace"))


def _how_it_broke(build: RunningBuild, status: int) -> str:
    """Words for a build that left no answer; out of memory looks like signal 9."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        memory = " (out of memory?)" if number == signal.SIGKILL else ""
        return f"the build was ended by signal {number}{memory}"
    try:
        said = (build.work / "errors").read_text(errors="replace").strip().splitlines()
    except OSError:
        said = []
    return "the build broke: " + (said[-1] if said else f"exit status {os.WEXITSTATUS(status)}")
