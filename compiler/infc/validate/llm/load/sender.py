"""The process that sends: open loop, at absolute times, in an interpreter of its own so that nothing else delays it.

    python -m infc.validate.llm.load.sender JOB.npz URL [PRIORITY]

A request is sent when its time has come, whatever became of those before it. Results go to standard output as frames
(`FRAME` and then what it announces). A closed standard input, or the byte `s` on it, ends the sending; what is on its
way is then waited for until its timeout, or dropped on the byte `c`.
"""

import asyncio
import collections
import json
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from infc.serve.http_get import endpoint_from
from infc.serve.vllm_view import KEY_VARIABLE
from infc.validate.llm.load.client import Answer, CompletionClient
from infc.validate.llm.load.prompts import PromptSource

FRAME = struct.Struct("<ddIIIIIB")
"""Clock, start of the schedule, numbers of newly sent requests, first tokens, results, gaps and bytes of texts, and 1
in the last frame."""
FIRST = np.dtype([("index", "<u4"), ("first_s", "<f8")])
"""The first token of a request."""
RESULT = np.dtype(
    [
        ("index", "<u4"),
        ("first_s", "<f8"),
        ("last_s", "<f8"),
        ("tokens", "<u4"),
        ("prompt_tokens", "<u4"),
        ("gaps", "<u4"),
        ("outcome", "<i2"),
    ]
)
"""One answer: monotonic times of the first and the last token, tokens, number of gaps, and what became of it."""
FRAME_INTERVAL_S = 0.05
_SPIN_S = 0.002
"""How long before a request is due the clock is watched closely: timers are a millisecond late."""
_LEAD_S = 0.2
_Item = TypeVar("_Item")


class Sender:
    """Sends the job's requests on time and collects what comes back."""

    def __init__(self, job: Path, url: str) -> None:
        with np.load(job, allow_pickle=False) as arrays:
            self._arrivals_s: list[float] = arrays["arrivals_s"].tolist()
            self._lengths: list[list[int]] = arrays["lengths"].tolist()
            options = json.loads(arrays["options"].tobytes())
        self._prompts = PromptSource(**options["prompts"])
        self._timeout_s = float(options["timeout_s"])
        self._max_outstanding = int(options["max_outstanding"])
        self._endpoint = endpoint_from(url)
        self._headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get(KEY_VARIABLE)) else {}
        self._sent_s: collections.deque[float] = collections.deque()
        self._firsts: collections.deque[tuple[int, float]] = collections.deque()
        self._results: collections.deque[tuple[int, Answer]] = collections.deque()
        self._outstanding = 0
        self._start_s = 0.0
        self.is_stopping = threading.Event()
        self.is_cancelling = threading.Event()

    async def run(self) -> None:
        """Send at the scheduled times until the job ends or a stop is asked for, then wait for the answers."""
        client = CompletionClient(self._endpoint, headers=self._headers, timeout_s=self._timeout_s)
        tasks: set[asyncio.Task[None]] = set()
        self._start_s = time.monotonic() + _LEAD_S
        try:
            for index, arrival_s in enumerate(self._arrivals_s):
                body = self._prompts.body(index, *self._lengths[index])
                await self._until(self._start_s + arrival_s)
                if self.is_stopping.is_set() or self._outstanding >= self._max_outstanding:
                    break
                self._outstanding += 1
                self._sent_s.append(time.monotonic())
                task = asyncio.create_task(self._ask(client, index, body))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            while tasks and not self.is_cancelling.is_set():
                await asyncio.sleep(FRAME_INTERVAL_S / 5)
        finally:
            left = list(tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            client.close()

    async def _until(self, due_s: float) -> None:
        while (wait_s := due_s - time.monotonic()) > 0.0 and not self.is_stopping.is_set():
            await asyncio.sleep(min(wait_s - _SPIN_S, 0.1) if wait_s > _SPIN_S else 0.0)

    async def _ask(self, client: CompletionClient, index: int, body: bytes) -> None:
        answer = await client.ask(body, lambda first_s: self._firsts.append((index, first_s)))
        self._results.append((index, answer))
        self._outstanding -= 1

    def write_frames(self, out: BinaryIO, is_finished: threading.Event) -> None:
        """Write a frame every `FRAME_INTERVAL_S` until `is_finished`, then the last one."""
        while True:
            is_last = is_finished.wait(FRAME_INTERVAL_S)
            now_s = time.monotonic()
            # Results are taken before sends: an answer never comes without its request.
            results = _taken(self._results)
            firsts = _taken(self._firsts)
            sent = np.array(_taken(self._sent_s), dtype="<f8")
            rows = [(i, a.first_s, a.last_s, a.tokens, a.prompt_tokens, len(a.gaps_s), a.outcome) for i, a in results]
            gaps = np.array([gap for _, a in results for gap in a.gaps_s], dtype="<f4")
            texts = json.dumps([a.text for _, a in results if a.text]).encode() if results else b""
            counts = (len(sent), len(firsts), len(rows), len(gaps), len(texts))
            out.write(FRAME.pack(now_s, self._start_s, *counts, is_last))
            out.write(sent.tobytes() + np.array(firsts, dtype=FIRST).tobytes())
            out.write(np.array(rows, dtype=RESULT).tobytes() + gaps.tobytes() + texts)
            out.flush()
            if is_last:
                return

    def obey(self, commands: BinaryIO) -> None:
        """Read commands from standard input until it closes."""
        while (command := commands.read(1)) == b"s":
            self.is_stopping.set()
        self.is_cancelling.set()
        self.is_stopping.set()
        if not command:
            os._exit(1)


def _taken(queue: "collections.deque[_Item]") -> list[_Item]:
    return [queue.popleft() for _ in range(len(queue))]


def main() -> int:
    """Run one job; returns the exit code."""
    job, url, *priority = sys.argv[1:]
    if priority:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(int(priority[0])))
    sys.setswitchinterval(0.0005)
    sender = Sender(Path(job), url)
    is_finished = threading.Event()
    threading.Thread(target=sender.obey, args=(sys.stdin.buffer,), daemon=True).start()
    writer = threading.Thread(target=sender.write_frames, args=(sys.stdout.buffer, is_finished))
    writer.start()
    try:
        asyncio.run(sender.run())
    finally:
        is_finished.set()
        writer.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
