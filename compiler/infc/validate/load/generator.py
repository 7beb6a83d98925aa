"""The load generator seen from the test: starts the sending process, follows it, stops it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infc.validate.load.sender import FRAME, RESULT
from infc.validate.load.sending_process import SendingProcess

_UNANSWERED = -1


class LoadGenerator(SendingProcess):
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
        arguments = [target, str(timeout_s), str(max_outstanding)]
        arguments += [] if priority is None else [str(priority)]
        super().__init__("infc.validate.load.sender", job_file, *arguments)
        self.arrivals_s = arrivals_s
        self.sent_s = np.full(len(arrivals_s), np.nan)
        self.done_s = np.full(len(arrivals_s), np.nan)
        self.codes = np.full(len(arrivals_s), _UNANSWERED, dtype=np.int16)
        self.sent = 0
        self.answered = 0
        self.now_s = 0.0
        self.is_finished = False

    def frames(self) -> Iterator[None]:
        """Take in results as they come, about every 50 ms, until the last request is answered.

        Raises:
            ToolError: the sending process could not connect, or ended before its work was done.
        """
        while not self.is_finished:
            now_s, sent, results, is_last = FRAME.unpack(self.read(FRAME.size))
            self.sent_s[self.sent : self.sent + sent] = np.frombuffer(self.read(8 * sent), dtype="<f8")
            rows = np.frombuffer(self.read(RESULT.itemsize * results), dtype=RESULT)
            self.done_s[rows["index"]] = rows["done_s"]
            self.codes[rows["index"]] = rows["code"]
            self.sent += sent
            self.answered += results
            self.now_s = now_s
            self.is_finished = bool(is_last)
            yield
