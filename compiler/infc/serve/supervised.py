"""A server that runs under `supervisor.py`: its start, at ports that nobody else took meanwhile, and its end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infc.diag import ToolError
from infc.serve import supervisor


class PortTakenError(Exception):
    """Another process took a port between its choice and the server's start."""


class SupervisedServer(ABC):
    """Context manager: a server on loopback, ready when the block starts, ended when it is left.

    Args:
        name: what the server is called in errors.
        log_path: gets what it prints.
        ready_timeout_s: how long to wait for readiness.
        poll_s: how often to ask for it.
        grace_s: how long the server may take to end before it is killed.
        port_attempts: how often to choose other ports where another process was faster.
    """

    def __init__(
        self, name: str, log_path: Path, *, ready_timeout_s: float, poll_s: float, grace_s: float, port_attempts: int
    ) -> None:
        self._server_name = name
        self._ready_timeout_s = ready_timeout_s
        self._poll_s = poll_s
        self._grace_s = grace_s
        self._port_attempts = port_attempts
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path = log_path
        self.pid = 0

    def __enter__(self) -> Self:
        """Start the server and wait until it is ready."""
        for attempt in range(self._port_attempts):
            try:
                self._start()
                self._wait_until_ready()
            except PortTakenError:
                self.close()
                if attempt == self._port_attempts - 1:
                    raise ToolError(
                        f"every free port that was chosen for {self._server_name} was taken before it started"
                    ) from None
            except BaseException:
                self.close()
                raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the server."""
        self.close()

    def close(self) -> None:
        """End the server and all its processes: SIGTERM, then SIGKILL. Close clients first; may be repeated."""
        process, self._process = self._process, None
        if process is not None:
            end(process, self.pid, 2 * self._grace_s)

    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def log_text(self, offset: int = 0) -> str:
        """The server's log from a byte offset on."""
        with self.log_path.open("rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", errors="replace")

    @abstractmethod
    def _start(self) -> None:
        """Choose ports and call `_launch`."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether this very server answers. Raises PortTakenError where it runs on without one of its ports."""

    @abstractmethod
    def _start_failure(self) -> Exception:
        """Why a server ended before it was ready; PortTakenError where it only needs other ports."""

    def _launch(
        self, command: Sequence[str], *, options: Sequence[str] = (), environment: Mapping[str, str], folder: Path
    ) -> None:
        """Start a command in a folder; `options` are the supervisor's own."""
        supervised = [sys.executable, "-I", "-S", supervisor.__file__, "--grace", str(self._grace_s), *options]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [*supervised, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self.pid = int(self._process.stdout.readline() or 0)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        while time.monotonic() < deadline:
            if not self.is_running():
                raise self._start_failure()
            if self._is_ready():
                return
            time.sleep(self._poll_s)
        raise ToolError(
            f"{self._server_name} was not ready after {self._ready_timeout_s:g} s",
            help=f"its log: {last_lines(self.log_text())}",
        )


def last_lines(text: str, count: int = 5) -> str:
    """The end of a log as one line."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])


def end(process: "subprocess.Popen[bytes]", server_pid: int, patience_s: float) -> None:
    """End a supervisor, and with it its server and all of the server's processes.

    The supervisor ends the server when its input closes. One that is stuck or starved is killed after `patience_s`, and
    before it the server's process group: the kernel would end the server's first process alone. `server_pid` 0: the
    server had not been started.
    """
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        if server_pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server_pid, signal.SIGKILL)
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
