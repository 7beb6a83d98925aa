"""Keeps one server alive exactly as long as the process that asked for it. Run as a script, standard library only.

    supervisor.py [--priority N] [--nice N] [--grace SECONDS] [--shared-memory PREFIX] COMMAND...

The parent holds the other end of standard input: its closing, by intent or by any death of the parent (SIGKILL
included), ends the server: SIGTERM, then SIGKILL after the grace, to the whole process group. Prints the server's pid
on standard output. Regions of named shared memory that start with PREFIX are removed at the end. Should this process
itself be killed, the kernel kills the server (PR_SET_PDEATHSIG).
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.1
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where Linux keeps named shared memory


def _kill_group(pgid: int, signal_number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pgid, signal_number)


def _start(command: list[str], priority: int | None) -> "subprocess.Popen[bytes]":
    libc = ctypes.CDLL(None)
    own_pid = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != own_pid:
            os._exit(1)
        if priority is not None:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))

    # The supervisor has one thread, so code between fork and exec is safe here, unlike in the process that asked.
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, process_group=0, preexec_fn=prepare
    )


def _is_parent_gone() -> bool:
    readable, _, _ = select.select([sys.stdin.buffer], [], [], _POLL_S)
    return bool(readable) and os.read(0, 4096) == b""


def _end(server: "subprocess.Popen[bytes]", grace_s: float) -> None:
    server.terminate()
    deadline = time.monotonic() + grace_s
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    _kill_group(server.pid, signal.SIGKILL)
    server.wait()


def _be_nice(niceness: int) -> None:
    """Take a priority (-20 to 19), where that is allowed: Linux weighs sessions first, so this session gets the same.

    The server inherits it.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        with open("/proc/self/autogroup", "w", encoding="ascii") as group:
            group.write(str(niceness))


def _remove_shared_memory(prefix: str) -> None:
    """Remove the regions that a killed server left behind."""
    for entry in os.scandir(_SHARED_MEMORY):
        if entry.name.startswith(prefix):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def main() -> int:
    """Run the command until it ends or the parent is gone; returns the command's exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--priority", type=int)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--grace", type=float, default=8.0)
    parser.add_argument("--shared-memory")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    is_asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: is_asked_to_end.set())
    if options.nice:
        _be_nice(options.nice)
    server = _start(options.command, options.priority)
    print(server.pid, flush=True)
    while server.poll() is None:
        if _is_parent_gone() or is_asked_to_end.is_set():
            _end(server, options.grace)
    _kill_group(server.pid, signal.SIGKILL)
    if options.shared_memory:
        _remove_shared_memory(options.shared_memory)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main())
