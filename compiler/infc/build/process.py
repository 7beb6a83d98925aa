"""Running the processes of a builder: their progress lines are passed on, and none outlives infc."""

import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infc.build.builder import Report

_GRACE_S = 10.0
_LAST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended: its exit code (negative: the signal) and the last lines of its standard error."""

    exit_code: int
    last_lines: tuple[str, ...]


class Processes:
    """The processes that one builder runs now. Threads may share it."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called: processes that ended badly since then were ended by it."""
        return self._is_closed

    def run(self, command: Sequence[str], report: Report, environment: Mapping[str, str] | None = None) -> Ended:
        """Run a command to its end; every line of its standard output goes to `report`.

        When this call is left early (Ctrl-C), the process is asked to end and then killed. Raises OSError when it does
        not start.
        """
        with tempfile.TemporaryFile() as stderr:
            process = self._start(command, stderr.fileno(), environment)
            if process is None:
                return Ended(exit_code=-15, last_lines=())
            try:
                assert process.stdout is not None  # noqa: S101 - asked for when it was started
                for line in process.stdout:
                    report(line.decode(errors="replace").rstrip())
                process.wait()
            finally:
                _end(process)
                with self._guard:
                    self._running.discard(process)
            stderr.seek(0)
            lines = stderr.read().decode(errors="replace").splitlines()
        return Ended(exit_code=process.returncode, last_lines=tuple(lines[-_LAST_LINES:]))

    def close(self) -> None:
        """Ask everything that runs to end, and start nothing any more."""
        with self._guard:
            self._is_closed = True
            for process in self._running:
                if process.poll() is None:
                    process.terminate()

    def _start(
        self, command: Sequence[str], stderr: int, environment: Mapping[str, str] | None
    ) -> "subprocess.Popen[bytes] | None":
        with self._guard:
            if self._is_closed:
                return None
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=environment
            )
            self._running.add(process)
            return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that still runs: ask, wait, kill."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
