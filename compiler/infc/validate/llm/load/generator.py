"""The load generator seen from the test: starts the sending process, follows it, stops it."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infc.sim.continuous_batching import TokenRequests
from infc.validate.llm.load.prompts import PromptSource
from infc.validate.llm.load.sender import FIRST, FRAME, RESULT
from infc.validate.load.sending_process import SendingProcess

Floats = NDArray[np.float64]
UNANSWERED = -1


class LlmLoadGenerator(SendingProcess):
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
        super().__init__("infc.validate.llm.load.sender", job_file, url, *([] if priority is None else [str(priority)]))
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

    def frames(self) -> Iterator[None]:
        """Take in results as they come, about every 50 ms, until the last request is answered.

        Raises:
            ToolError: the sending process ended before its work was done.
        """
        while not self.is_finished:
            now_s, start_s, sent, firsts, results, gaps, texts, is_last = FRAME.unpack(self.read(FRAME.size))
            if start_s:
                self.due_s = start_s + self.requests.arrivals_s
            self.sent_s[self.sent : self.sent + sent] = np.frombuffer(self.read(8 * sent), dtype="<f8")
            begun = np.frombuffer(self.read(FIRST.itemsize * firsts), dtype=FIRST)
            self.first_s[begun["index"]] = begun["first_s"]
            rows = np.frombuffer(self.read(RESULT.itemsize * results), dtype=RESULT)
            self._take_in(rows, np.frombuffer(self.read(4 * gaps), dtype="<f4"))
            if texts:
                self.texts.update(json.loads(self.read(texts)))
            self.sent += sent
            self.answered += results
            self.now_s = now_s
            self.is_finished = bool(is_last)
            yield

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
