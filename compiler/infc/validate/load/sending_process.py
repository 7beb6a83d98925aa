"""The process that sends a load test's requests, seen from the test: its start, its commands, its results, its end."""

import contextlib
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from infc.diag import ToolError


class SendingProcess:
    """Context manager: a Python module that reads a job, writes results to standard output and ends with its input.

    Args:
        module: the module to run.
        job_file: what it reads, its first argument; what it says of errors goes to a `.log` beside it.
        arguments: further arguments.
    """

    def __init__(self, module: str, job_file: Path, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, str(job_file), *arguments]
        self._error_file = job_file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start sending."""
        with self._error_file.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the sending process; what is on its way is dropped."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Send no more; answers to what was sent still come."""
        self._command_sender(b"s")

    def cancel(self) -> None:
        """Send no more and drop what is on its way."""
        self._command_sender(b"c")

    def _command_sender(self, command: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018 - it was started
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(command)
            self._process.stdin.flush()

    def read(self, count: int) -> bytes:
        """So many bytes of the results.

        Raises:
            ToolError: the process ended before.
        """
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018 - it was started
        content = self._process.stdout.read(count)
        if len(content) < count:
            self._process.wait(5.0)
            said = self._error_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise ToolError(f"the load generator ended early: {said[-1] if said else 'it said nothing'}")
        return content
