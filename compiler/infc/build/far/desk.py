"""Keeps build jobs and their results by key on a machine that infc reaches over ssh.

    PYTHONPATH=worker.pyz python3 -m far.desk probe          what this machine can build, as JSON
    PYTHONPATH=worker.pyz python3 -m far.desk state KEY      prints `finished`, `running`, `ready` or `none`
    PYTHONPATH=worker.pyz python3 -m far.desk put KEY        a tar stream on standard input becomes the job of KEY
    PYTHONPATH=worker.pyz python3 -m far.desk start KEY ID   builds it in the background, in the name of ID
    PYTHONPATH=worker.pyz python3 -m far.desk follow KEY     prints its progress until it ends; exits as the worker did
    PYTHONPATH=worker.pyz python3 -m far.desk collect KEY    the result of KEY goes to standard output as a tar stream
    PYTHONPATH=worker.pyz python3 -m far.desk stop KEY ID    ends the build if ID started it

A build goes on when the connection is lost: its result is kept here under its key and fetched later. The lock of a key
is held by the process that builds it, so it is free again however that process ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .machine import probe

FULL, NO_RESULT, STOPPED = 28, 44, 45
KEY = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[0-9a-f]{8,64}")
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
POLL_S = 0.2
GRACE_S = 10.0
KEPT_S = 14 * 86400.0
HALF_WRITTEN_S = 86400.0


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    command, values = arguments[0], arguments[1:]
    if command == "probe" and not values:
        print(json.dumps(probe(), sort_keys=True))
        return 0
    if not values or not KEY.fullmatch(values[0]) or not all(NAME.fullmatch(value) for value in values[1:]):
        print(f"not a key: {values}", file=sys.stderr)
        return 64
    os.umask(0o077)
    root = cache_folder()
    try:
        return COMMANDS[command](root, *values)
    except OSError as error:
        print(f"{error.filename or root}: {error.strerror or error}", file=sys.stderr)
        return FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1


def cache_folder() -> Path:
    """Where jobs and results are kept: the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "infc" / "jobs"


def state(root: Path, key: str) -> int:
    """Say how the job of a key stands."""
    print(state_of(root / key))
    return 0


def state_of(folder: Path) -> str:
    """`finished`, `running`, `ready` (a job is here) or `none`."""
    if is_running(folder):
        return "running"
    if (folder / "result" / "result.json").is_file():
        return "finished"
    return "ready" if (folder / "job" / "job.json").is_file() else "none"


def put(root: Path, key: str) -> int:
    """Take a job: plain files only, whole or not at all. A job of this key that is here already is replaced."""
    root.mkdir(parents=True, exist_ok=True)
    sweep(root)
    staging = Path(tempfile.mkdtemp(prefix=".put-", dir=str(root)))
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            for member in archive:
                source = archive.extractfile(member)
                if not member.isreg() or not PLAIN_NAME.fullmatch(member.name) or source is None:
                    print(f"not a plain file: {member.name!r}", file=sys.stderr)
                    return 64
                with (staging / member.name).open("wb") as file:
                    shutil.copyfileobj(source, file)
        folder = root / key
        folder.mkdir(exist_ok=True)
        if not is_running(folder):
            shutil.rmtree(str(folder / "job"), ignore_errors=True)
            staging.rename(folder / "job")
    except tarfile.TarError as error:
        print(f"the job did not arrive whole: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(str(staging), ignore_errors=True)
    return 0


def start(root: Path, key: str, owner: str) -> int:
    """Build a job in the background, unless it is being built or finished."""
    folder = root / key
    if state_of(folder) in ("running", "finished"):
        return 0
    for name in ("ended.json", "errors", "progress"):
        (folder / name).unlink() if (folder / name).exists() else None
    command = [sys.executable, "-m", "far.desk", "run", key, owner]
    with (folder / "progress").open("wb") as out, (folder / "errors").open("wb") as errors:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True)
    end_s = time.monotonic() + GRACE_S
    while not is_running(folder) and not (folder / "ended.json").exists() and time.monotonic() < end_s:
        time.sleep(POLL_S / 10)
    return 0


def run(root: Path, key: str, owner: str) -> int:
    """The background process: holds the lock of the key and runs the worker."""
    folder = root / key
    with (folder / "lock").open("ab") as lock:
        if not locked(lock.fileno()):
            return 0
        (folder / "owner").write_text(f"{owner} {os.getpid()}")
        shutil.rmtree(str(folder / "building"), ignore_errors=True)
        archive, _, others = os.environ.pop("PYTHONPATH").partition(os.pathsep)
        if others:
            os.environ["PYTHONPATH"] = others
        command = [sys.executable, archive, "build", str(folder / "job"), str(folder / "building")]
        command += ["--timing-cache", str(root / "timing")]
        code = subprocess.call(command, stdin=subprocess.DEVNULL)
        if (folder / "building" / "result.json").is_file():
            shutil.copyfile(str(folder / "job" / "job.json"), str(folder / "building" / "job.json"))
            shutil.rmtree(str(folder / "result"), ignore_errors=True)
            (folder / "building").rename(folder / "result")
        shutil.rmtree(str(folder / "building"), ignore_errors=True)
        write_ended(folder, code)
    return 0


def follow(root: Path, key: str) -> int:
    """Print the progress of a build from its start; returns the exit code of its worker."""
    folder = root / key
    with (folder / "progress").open("r", errors="replace") as progress:
        while True:
            is_over = not is_running(folder)
            for line in progress:
                sys.stdout.write(line)
            sys.stdout.flush()
            if is_over:
                break
            time.sleep(POLL_S)
    try:
        code = int(json.loads((folder / "ended.json").read_text())["exit_code"])
    except (OSError, ValueError, KeyError):
        code = STOPPED
    sys.stderr.write((folder / "errors").read_text(errors="replace")[-8000:])
    return code


def collect(root: Path, key: str) -> int:
    """Stream the files of a result, and note that it was asked for."""
    folder = root / key / "result"
    if not (folder / "result.json").is_file():
        print(f"no result of {key}", file=sys.stderr)
        return NO_RESULT
    os.utime(str(root / key))
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.is_symlink():
                archive.add(str(path), arcname=path.name)
    return 0


def stop(root: Path, key: str, owner: str) -> int:
    """End the build of a key if `owner` started it: ask, wait, kill."""
    folder = root / key
    try:
        started_by, _, number = (folder / "owner").read_text().partition(" ")
    except FileNotFoundError:
        return 0
    if started_by != owner or not is_running(folder):
        return 0
    os.killpg(int(number), signal.SIGTERM)
    end_s = time.monotonic() + GRACE_S
    while is_running(folder) and time.monotonic() < end_s:
        time.sleep(POLL_S)
    if is_running(folder):
        os.killpg(int(number), signal.SIGKILL)
    return 0


def locked(handle: int) -> bool:
    """Take the lock of a key; those who only look whether it is held (`is_running`) hold it for a moment themselves."""
    end_s = time.monotonic() + 10 * POLL_S
    while time.monotonic() < end_s:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(POLL_S / 10)
    return False


def is_running(folder: Path) -> bool:
    """Whether a process holds the lock of a job."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_ended(folder: Path, code: int) -> None:
    """Note how the worker ended."""
    staged = folder / "ended.json.new"
    staged.write_text(json.dumps({"exit_code": code if code >= 0 else 128 - code}))
    staged.replace(folder / "ended.json")


def sweep(root: Path) -> None:
    """Remove what nobody used in two weeks (jobs, results, old workers), and half-written jobs of a day ago."""
    tools = root.parent / "tools"
    for entry in (*root.iterdir(), *(tools.iterdir() if tools.is_dir() else ())):
        try:
            age_s = time.time() - entry.lstat().st_mtime
            limit_s = HALF_WRITTEN_S if entry.name.startswith(".put-") else KEPT_S
            if age_s > limit_s and not is_running(entry):
                shutil.rmtree(str(entry), ignore_errors=True)
        except OSError:
            continue


COMMANDS: dict[str, Callable[..., int]] = {
    "state": state,
    "put": put,
    "start": start,
    "run": run,
    "follow": follow,
    "collect": collect,
    "stop": stop,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
