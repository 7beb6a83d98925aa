"""Running the processes that lower and build: their progress lines are passed on, and none outlives infc."""

import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

_GRACE_S = 10.0
_LAST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended: its exit code (negative: the signal) and the last lines of its standard error."""

    exit_code: int
    last_lines: tuple[str, ...]


class Processes:
    """The processes that one stage runs now. Threads may share it."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called: processes that ended badly since then were ended by it."""
        return self._is_closed

    def run(
        self, command: Sequence[str], report: Callable[[str], None], environment: Mapping[str, str] | None = None
    ) -> Ended:
        """Run a command to its end; every line of its standard output goes to `report`.

        When this call is left early (Ctrl-C), the process is asked to end and then killed. Raises OSError when it does
        not start.
        """
        with tempfile.TemporaryFile() as errors:
            process = self._start(command, subprocess.DEVNULL, subprocess.PIPE, errors, environment)
            if process is None:
                return Ended(exit_code=-15, last_lines=())
            with self._running_until_done(process):
                assert process.stdout is not None  # noqa: S101 - asked for when it was started
                for line in process.stdout:
                    report(line.decode(errors="replace").rstrip())
            return _ended(process, errors)

    def transfer(self, command: Sequence[str], source: IO[bytes] | None, target: IO[bytes] | None) -> Ended:
        """Run a command that reads the file `source` and writes the file `target` (None: nothing)."""
        with tempfile.TemporaryFile() as errors:
            process = self._start(command, source or subprocess.DEVNULL, target or subprocess.DEVNULL, errors, None)
            if process is None:
                return Ended(exit_code=-15, last_lines=())
            with self._running_until_done(process):
                pass
            return _ended(process, errors)

    def close(self) -> None:
        """Ask everything that runs to end, and start nothing any more."""
        with self._guard:
            self._is_closed = True
            for process in self._running:
                if process.poll() is None:
                    process.terminate()

    def _start(
        self,
        command: Sequence[str],
        stdin: int | IO[bytes],
        stdout: int | IO[bytes],
        stderr: IO[bytes],
        environment: Mapping[str, str] | None,
    ) -> "subprocess.Popen[bytes] | None":
        with self._guard:
            if self._is_closed:
                return None
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment)
            self._running.add(process)
            return process

    @contextmanager
    def _running_until_done(self, process: "subprocess.Popen[bytes]") -> Iterator[None]:
        """Wait for a process after the block; leaving early ends it: ask, wait, kill."""
        try:
            yield
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=_GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()
            with self._guard:
                self._running.discard(process)


def _ended(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> Ended:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    return Ended(exit_code=process.returncode, last_lines=tuple(lines[-_LAST_LINES:]))
