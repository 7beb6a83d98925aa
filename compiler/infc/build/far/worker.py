"""Builds one TensorRT engine on the machine that has the library: the same file here, on a lab box and in a container.

    python worker.pyz build FOLDER OUT [--timing-cache DIR]
    python worker.pyz probe

`infc.build.worker_archive` packs this folder into `worker.pyz`, which needs Python 3.8 and the library, nothing
else. FOLDER holds `job.json`, `libraries.json` and the model. OUT gets `model.plan` and, last, `result.json`. Standard
output has one line of words per step. Exit code 0: built, 3: the library refused, 2: the job is not acceptable (why:
standard error), 124: over the job's time; anything else: it broke.

The library runs in a process of its own, in a folder of its own: a crash cannot take the answer along, and what decides
an engine's bytes (addresses, environment, paths) is the same in every run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib import util
from pathlib import Path
from typing import Any

from .files import FORMAT_VERSION, UnacceptableError, file_facts, read_object, write_atomically
from .library import BUILT, REFUSED, inside_build
from .machine import probe
from .process import end_with_parent
from .progress import say

UNACCEPTABLE, TIMED_OUT = 2, 124
ARCHIVE = Path(__file__).resolve().parents[1]
"""The packed file that this runs from."""

ARCHIVE_NAME = "worker.pyz"
FOLDER_PREFIX = "infc-job-"
STALE_S = 86400.0
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
REQUIRED: dict[str, type | tuple[type, ...]] = {
    "key": str,
    "kind": str,
    "precision": str,
    "shapes": list,
    "hardware_id": str,
    "options": dict,
    "toolchain": dict,
    "timeout_s": (int, float),
}
CLEAN_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "TZ": "UTC"}


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog=ARCHIVE_NAME, description="Build one TensorRT engine.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the engine of a job folder")
    build.add_argument("folder", type=Path)
    build.add_argument("out", type=Path)
    build.add_argument("--timing-cache", type=Path, default=None, help="folder of timing caches, kept between builds")
    build.add_argument("--with-parent", action="store_true", help="end when the process that started this one ends")
    commands.add_parser("probe", help="say what this machine can build with, as JSON")
    inside = commands.add_parser("inside", help="used by build itself, in the folder that it made")
    inside.add_argument("--timing-cache", type=Path, default=None)
    options = parser.parse_args(arguments)
    try:
        if options.command == "probe":
            say(json.dumps(probe(), sort_keys=True))
            return BUILT
        if options.command == "inside":
            return inside_build(Path(), options.timing_cache)
        if options.with_parent:
            end_with_parent()
        return build_job(options.folder, options.out, options.timing_cache)
    except UnacceptableError as reason:
        print(reason, file=sys.stderr)
        return UNACCEPTABLE


def build_job(folder: Path, out: Path, timing_cache: Path | None) -> int:
    """Check a job folder, have its engine built, leave the answer in `out`."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _end)
    sweep_stale()
    work = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=_scratch()))
    try:
        job = accept(folder, work)
        code = run_inside(work, job, timing_cache)
        if code not in (BUILT, REFUSED):
            return code
        answer = json.loads((work / "answer.json").read_text())
        engine = None
        out.mkdir(parents=True, exist_ok=True)
        if code == BUILT:
            engine = file_facts(work / "model.plan")
            shutil.move(str(work / "model.plan"), str(out / "model.plan"))
        result = {
            "format_version": FORMAT_VERSION,
            "key": job["key"],
            "status": "built" if code == BUILT else "refused",
            "engine": engine,
            "seconds": round(time.monotonic() - started, 3),
            **answer,
        }
        write_atomically(out / "result.json", json.dumps(result, indent=1, sort_keys=True).encode() + b"\n")
        return code
    finally:
        shutil.rmtree(str(work), ignore_errors=True)


def accept(folder: Path, work: Path) -> dict[str, Any]:
    """The job of a folder, its files copied to `work` and checked on the way. Raises UnacceptableError."""
    job = read_object(folder / "job.json")
    libraries = read_object(folder / "libraries.json")
    for name, document in (("job.json", job), ("libraries.json", libraries)):
        if str(document.get("format_version", "")).split(".")[0] != FORMAT_VERSION.split(".")[0]:
            found = document.get("format_version")
            raise UnacceptableError(f"{name} has format {found!r}, not 1.x")
    model = job.get("model")
    if not isinstance(model, dict) or not PLAIN_NAME.fullmatch(str(model.get("name", ""))):
        raise UnacceptableError("the job names no model file inside its own folder")
    source = folder / model["name"]
    if source.is_symlink() or not source.is_file():
        raise UnacceptableError(f"{source.name} is not a file of the job's folder")
    shutil.copyfile(str(source), str(work / "model.onnx"))
    copied = file_facts(work / "model.onnx")
    if (copied["digest"], copied["size_bytes"]) != (model.get("digest"), model.get("size_bytes")):
        raise UnacceptableError(f"{source.name} is not the file that the job names: its digest or size differs")
    for field, expected in REQUIRED.items():
        if not isinstance(job.get(field), expected):
            raise UnacceptableError(f"the job has no {field}")
    (work / "job.json").write_text(json.dumps(job))
    (work / "libraries.json").write_text(json.dumps(libraries))
    return job


def run_inside(work: Path, job: dict[str, Any], timing_cache: Path | None) -> int:
    """Run the library's process to its end or to the end of the job's time."""
    command, environment = inside_command(work, job["kind"])
    if timing_cache is not None:
        command += ["--timing-cache", str(timing_cache.resolve())]
    timeout_s = float(job["timeout_s"])
    process = subprocess.Popen(command, cwd=str(work), env=environment)
    try:
        code = process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        print(f"the build took longer than {timeout_s:g} s", file=sys.stderr)
        return TIMED_OUT
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return code if code >= 0 else 128 - code


def inside_command(work: Path, kind: str) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of the library's process.

    TensorRT-RTX 1.7 orders parts of an INT8 engine by addresses, and those move with the length of every path, argument
    and variable. Its process therefore sees only paths of one length: links in a folder whose own name has a fixed
    length. TensorRT needs the GPU, and whatever variables lead to it.
    """
    shutil.copyfile(str(ARCHIVE), str(work / ARCHIVE_NAME))
    found = util.find_spec(kind) if kind == "tensorrt_rtx" else None
    if found is None or found.origin is None:
        return [sys.executable, ARCHIVE_NAME, "inside"], dict(os.environ)
    (work / "python").symlink_to(Path(sys.executable).resolve())
    (work / "packages").symlink_to(Path(found.origin).parents[1])
    return [str(work / "python"), "-S", ARCHIVE_NAME, "inside"], dict(CLEAN_ENVIRONMENT)


def sweep_stale() -> None:
    """Remove what killed builds of this user left behind a day ago or earlier."""
    for entry in Path(_scratch()).glob(FOLDER_PREFIX + "*"):
        try:
            state = entry.lstat()
            if state.st_uid == os.getuid() and time.time() - state.st_mtime > STALE_S:
                shutil.rmtree(str(entry), ignore_errors=True)
        except OSError:
            continue


def _scratch() -> str:
    """A folder for scratch files whose name does not depend on the environment, where there is one."""
    return "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108


def _end(number: int, frame: object) -> None:
    """Leave through the `finally` clauses when asked to end."""
    sys.exit(128 + number)
