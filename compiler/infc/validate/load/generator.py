"""The load generator seen from the test: starts the sending process, follows it, stops it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infc.diag import ToolError
from infc.validate.load.sender import FRAME, RESULT

_UNANSWERED = -1


class LoadGenerator:
    """Context manager: requests sent at `arrivals_s` after the start, with what is known of each so far.

    `sent_s[i]` and `done_s[i]` are monotonic seconds (NaN: not yet); `codes[i]` is the gRPC status of the answer (0
    ok, -1 none yet). Entries from `sent` on are unused.

    Args:
        target: host:port of the gRPC server.
        messages: serialised ModelInferRequests; request i sends messages[order[i]].
        job_file: where the job is handed over; its folder must exist.
        priority: SCHED_FIFO priority of the sending process (needs root), None for normal.
    """

    def __init__(
        self,
        target: str,
        *,
        arrivals_s: NDArray[np.float64],
        messages: Sequence[bytes],
        order: NDArray[np.int32],
        job_file: Path,
        timeout_s: float,
        max_outstanding: int,
        priority: int | None,
    ) -> None:
        lengths = np.array([0, *map(len, messages)], dtype=np.int64)
        content = np.frombuffer(b"".join(messages), dtype=np.uint8)
        np.savez(job_file, arrivals_s=arrivals_s, order=order, offsets=np.cumsum(lengths), content=content)
        module = "infc.validate.load.sender"
        self._command = [sys.executable, "-m", module, str(job_file), target, str(timeout_s), str(max_outstanding)]
        if priority is not None:
            self._command.append(str(priority))
        self._error_file = job_file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.arrivals_s = arrivals_s
        self.sent_s = np.full(len(arrivals_s), np.nan)
        self.done_s = np.full(len(arrivals_s), np.nan)
        self.codes = np.full(len(arrivals_s), _UNANSWERED, dtype=np.int16)
        self.sent = 0
        self.answered = 0
        self.now_s = 0.0
        self.is_finished = False

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

    def frames(self) -> Iterator[None]:
        """Take in results as they come, about every 50 ms, until the last request is answered.

        Raises:
            ToolError: the sending process could not connect, or ended before its work was done.
        """
        while not self.is_finished:
            now_s, sent, results, is_last = FRAME.unpack(self._read(FRAME.size))
            self.sent_s[self.sent : self.sent + sent] = np.frombuffer(self._read(8 * sent), dtype="<f8")
            rows = np.frombuffer(self._read(RESULT.itemsize * results), dtype=RESULT)
            self.done_s[rows["index"]] = rows["done_s"]
            self.codes[rows["index"]] = rows["code"]
            self.sent += sent
            self.answered += results
            self.now_s = now_s
            self.is_finished = bool(is_last)
            yield

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

    def _read(self, count: int) -> bytes:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018 - it was started
        content = self._process.stdout.read(count)
        if len(content) < count:
            self._process.wait(5.0)
            said = self._error_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise ToolError(f"the load generator ended early: {said[-1] if said else 'it said nothing'}")
        return content
