"""The load generator seen from the test: starts the sending process, follows it, stops it."""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infc.diag import ToolError
from infc.sim.continuous_batching import TokenRequests
from infc.validate.llm.load.prompts import PromptSource
from infc.validate.llm.load.sender import FIRST, FRAME, RESULT

Floats = NDArray[np.float64]
UNANSWERED = -1


class LlmLoadGenerator:
    """Context manager: requests sent at their times after the start, with what is known of each so far.

    `due_s`, `sent_s`, `first_s` and `last_s` are monotonic seconds (NaN: not yet; `due_s` of all). `outcomes[i]` is 0
    for a good answer, `UNANSWERED`, an `Outcome` or an HTTP status. `tokens` and `prompt_tokens` are as the server
    counted them; `gaps_s` maps a request to the times between its tokens. `texts` counts what errors said. Entries from
    `sent` on are unused.

    Args:
        url: of the server.
        requests: when they come and how long they are.
        prompts: what they say.
        job_file: where the job is handed over; its folder must exist.
        timeout_s: of a whole request.
        max_outstanding: unanswered requests at which sending ends.
        priority: SCHED_FIFO priority of the sending process (needs root), None for normal.
    """

    def __init__(
        self,
        url: str,
        requests: TokenRequests,
        prompts: PromptSource,
        *,
        job_file: Path,
        timeout_s: float,
        max_outstanding: int,
        priority: int | None = None,
    ) -> None:
        options = {"prompts": asdict(prompts), "timeout_s": timeout_s, "max_outstanding": max_outstanding}
        lengths = np.stack([requests.prompt_tokens, requests.prefix_tokens, requests.output_tokens], axis=1)
        np.savez(
            job_file,
            arrivals_s=requests.arrivals_s,
            lengths=lengths.astype(np.int64),
            options=np.frombuffer(json.dumps(options).encode(), dtype=np.uint8),
        )
        self._command = [sys.executable, "-m", "infc.validate.llm.load.sender", str(job_file), url]
        if priority is not None:
            self._command.append(str(priority))
        self._error_file = job_file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        count = len(requests)
        self.requests = requests
        self.due_s = np.full(count, np.nan)
        self.sent_s = np.full(count, np.nan)
        self.first_s = np.full(count, np.nan)
        self.last_s = np.full(count, np.nan)
        self.tokens = np.zeros(count, dtype=np.int64)
        self.prompt_tokens = np.zeros(count, dtype=np.int64)
        self.outcomes = np.full(count, UNANSWERED, dtype=np.int16)
        self.gaps_s: dict[int, NDArray[np.float32]] = {}
        self.texts: Counter[str] = Counter()
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
            ToolError: the sending process ended before its work was done.
        """
        while not self.is_finished:
            now_s, start_s, sent, firsts, results, gaps, texts, is_last = FRAME.unpack(self._read(FRAME.size))
            if start_s:
                self.due_s = start_s + self.requests.arrivals_s
            self.sent_s[self.sent : self.sent + sent] = np.frombuffer(self._read(8 * sent), dtype="<f8")
            begun = np.frombuffer(self._read(FIRST.itemsize * firsts), dtype=FIRST)
            self.first_s[begun["index"]] = begun["first_s"]
            rows = np.frombuffer(self._read(RESULT.itemsize * results), dtype=RESULT)
            self._take_in(rows, np.frombuffer(self._read(4 * gaps), dtype="<f4"))
            if texts:
                self.texts.update(json.loads(self._read(texts)))
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

    def _take_in(self, rows: NDArray[np.void], gaps_s: NDArray[np.float32]) -> None:
        index = rows["index"]
        has_tokens = rows["tokens"] > 0
        self.first_s[index[has_tokens]] = rows["first_s"][has_tokens]
        self.last_s[index[has_tokens]] = rows["last_s"][has_tokens]
        self.tokens[index] = rows["tokens"]
        self.prompt_tokens[index] = rows["prompt_tokens"]
        self.outcomes[index] = rows["outcome"]
        ends = np.cumsum(rows["gaps"])
        for each, end, count in zip(index.tolist(), ends.tolist(), rows["gaps"].tolist(), strict=True):
            self.gaps_s[each] = gaps_s[end - count : end]

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
