"""A supervised process lives exactly as long as its owner."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infc.serve import supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers are started on Linux only")

SUPERVISOR = [sys.executable, "-I", "-S", supervisor.__file__]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = "import subprocess, sys; sys.exit(subprocess.Popen(['sleep', '600']).wait())"


@contextmanager
def supervised(*command: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A supervisor under this process, and the pid of what it runs; ended at the end whatever happens."""
    process = subprocess.Popen(
        [*SUPERVISOR, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
        assert process.stderr is not None
        process.stderr.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid: int) -> None:
    """Wait up to a minute for the end of a process."""
    deadline = time.monotonic() + 60.0
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Pids of the direct children, once there are any."""
    for _ in range(3000):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        if children:
            return children
        time.sleep(0.02)
    raise AssertionError(f"process {pid} started no child")


def test_exit_code_is_passed_on() -> None:
    """When the command ends by itself the supervisor ends with its code."""
    with supervised(sys.executable, "-c", "raise SystemExit(7)") as (process, _):
        assert process.wait(60) == 7


def test_closing_its_input_ends_the_command() -> None:
    """The owner's intended end."""
    with supervised("sleep", "600") as (process, pid):
        assert is_alive(pid)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
        assert not is_alive(pid)


def test_a_command_that_ignores_sigterm_is_killed() -> None:
    """SIGKILL follows after the grace."""
    with supervised("--grace", "0.3", sys.executable, "-c", STUBBORN) as (process, pid):
        assert process.stdin is not None
        assert process.stderr is not None
        process.stderr.readline()
        process.stdin.close()
        assert process.wait(60) == -signal.SIGKILL % 256 or process.returncode == -signal.SIGKILL
        assert not is_alive(pid)


def test_grandchildren_end_too() -> None:
    """The whole process group is ended, also when only the command itself dies."""
    with supervised(sys.executable, "-c", PARENT) as (process, pid):
        (grandchild,) = children_of(pid)
        os.kill(pid, signal.SIGKILL)
        process.wait(60)
        wait_until_gone(grandchild)


def test_sigterm_to_the_supervisor_ends_the_command() -> None:
    """A service manager's way."""
    with supervised("sleep", "600") as (process, pid):
        process.terminate()
        process.wait(60)
        assert not is_alive(pid)


def test_a_killed_supervisor_takes_the_command_with_it() -> None:
    """The kernel kills the command when its supervisor dies without a word."""
    with supervised("sleep", "600") as (process, pid):
        process.kill()
        process.wait(60)
        wait_until_gone(pid)


def test_a_killed_owner_ends_the_command() -> None:
    """SIGKILL to the owner: nothing of it runs any more, yet the command ends."""
    program = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "print(p.stdout.readline(), flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, *SUPERVISOR, "sleep", "600"], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()
    wait_until_gone(pid)


def test_a_priority_is_handed_on(tmp_path: Path) -> None:
    """What is supervised inherits it from the supervisor."""
    told = tmp_path / "nice"
    command = f"import os, pathlib, time; pathlib.Path({str(told)!r}).write_text(str(os.nice(0))); time.sleep(600)"
    with supervised("--nice", "7", sys.executable, "-c", command):
        deadline = time.monotonic() + 60.0
        while not told.exists() or not told.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert int(told.read_text()) == 7
