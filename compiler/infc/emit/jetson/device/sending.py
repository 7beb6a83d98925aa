"""Requests at their own times, whatever became of those before: sent by a process apart, so that nothing delays it."""

from __future__ import annotations

import http.client
import os
import random
import select
import signal
import struct
import sys
import threading
import time
import traceback
from typing import Any, Callable, NamedTuple, Protocol  # noqa: UP035 - Python 3.8

from infc.build.far.process import end_with_parent

_RECORD = struct.Struct("<IddddIB")
"""Index; seconds from when it was due to its first part and to its end; how late it was sent through no fault of the
server; seconds from its sending to its first part; parts; 1 when all is well."""
_LEAD_S = 0.2
_NAP_S = 0.1
_SWITCH_S = 0.0005
_PERIODS_IN_PHASE = 16  # as in infc.sim.arrivals, whose runs this one is compared with


class RequestError(Exception):
    """The service refused a request, or answered what is no answer."""


class Client(Protocol):
    """One connection to the service, used by one thread."""

    def exchange(self, index: int) -> tuple[float, int]:
        """Send request `index`, read the whole answer: when its first part came (monotonic), and its parts.

        Raises OSError, RequestError.
        """

    def close(self) -> None:
        """Let go of the connection."""


def answer_of(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> http.client.HTTPResponse:
    """Post a request. A connection that the server closed while it was idle is opened again, once.

    Raises OSError, http.client.HTTPException.
    """
    was_open = connection.sock is not None
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse()
    except ConnectionError:
        if not was_open:
            raise
    connection.close()
    connection.request("POST", path, body, headers)
    return connection.getresponse()


class Answered(NamedTuple):
    """What became of a request. Seconds count from when it was due, so a late sender is no excuse for a queue."""

    first_s: float
    done_s: float
    lag_s: float
    sent_to_first_s: float
    parts: int
    is_ok: bool


def due_times_s(arrival: dict[str, Any], rate_rps: float, seconds: float, seed: int = 0) -> list[float]:
    """When requests are due, ascending, from 0 on; equal arguments, equal times.

    `constant`: as many senders as `streams`, evenly spaced, each from a moment of its own on; of several, all moments
    are drawn anew after a while, so that a percentile is over all of them, as the plan's is. `poisson`: independent
    users. `bursty`: gamma-distributed gaps with coefficient of variation `cv`.

    >>> [round(at_s, 3) for at_s in due_times_s({"kind": "constant", "streams": 1}, 2.0, 2.0)]
    [0.422, 0.922, 1.422, 1.922]
    """
    generator = random.Random(seed)  # noqa: S311 - no secret
    if arrival["kind"] == "constant":
        streams = int(arrival.get("streams", 1))
        period_s = streams / rate_rps
        phases: list[float] = []
        due_s: list[float] = []
        for turn in range(int(seconds / period_s) + 1):
            if turn % _PERIODS_IN_PHASE == 0 and (streams > 1 or not phases):
                phases = sorted(generator.random() * period_s for _ in range(streams))
            due_s += [phase + turn * period_s for phase in phases]
        return [at_s for at_s in due_s if at_s < seconds]
    cv = float(arrival.get("cv", 1.0))
    shape = 1.0 / (cv * cv)
    at_s = 0.0
    times: list[float] = []
    while True:
        at_s += generator.gammavariate(shape, 1.0 / (rate_rps * shape))
        if at_s >= seconds:
            return times
        times.append(at_s)


class Sending:
    """Context manager: requests under way. `answers` holds what came back so far, by index."""

    def __init__(self, new_client: Callable[[], Client], due_s: list[float], workers: int) -> None:
        self.due_s = due_s
        self.answers: dict[int, Answered] = {}
        self.start_s = 0.0
        self.is_over = False
        self._rest = b""
        self._new_client, self._workers = new_client, workers

    def __enter__(self) -> Sending:
        """Start the sending process."""
        self._pipe, writing = os.pipe()
        self.start_s = time.monotonic() + _LEAD_S
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = os.fork()
        if not self._process:
            code = 1
            try:
                end_with_parent()
                os.close(self._pipe)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                sys.setswitchinterval(_SWITCH_S)
                _Sender(self._new_client, self.due_s, self.start_s, writing).run(self._workers)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writing)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sending; what is on its way is dropped."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._pipe)

    def now_s(self) -> float:
        """Seconds since the first request could be due."""
        return time.monotonic() - self.start_s

    def take(self, seconds: float) -> None:
        """Take in answers for some seconds, or until all are there."""
        end_s = time.monotonic() + seconds
        while not self.is_over and time.monotonic() < end_s:
            if not select.select([self._pipe], [], [], max(0.0, end_s - time.monotonic()))[0]:
                return
            content = os.read(self._pipe, 1 << 16)
            self.is_over = not content
            content = self._rest + content
            whole = len(content) - len(content) % _RECORD.size
            self._rest = content[whole:]
            for index, first_s, done_s, lag_s, to_first_s, parts, is_ok in _RECORD.iter_unpack(content[:whole]):
                self.answers[index] = Answered(first_s, done_s, lag_s, to_first_s, parts, bool(is_ok))


class _Sender:
    """The sending process: threads that take the next request, wait until it is due, send it."""

    def __init__(self, new_client: Callable[[], Client], due_s: list[float], start_s: float, pipe: int) -> None:
        self._new_client, self._due_s, self._start_s, self._pipe = new_client, due_s, start_s, pipe
        self._lock = threading.Lock()
        self._next = 0

    def run(self, workers: int) -> None:
        """Send everything; returns when all is answered."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        client = self._new_client()
        while True:
            with self._lock:
                index = self._next
                self._next += 1
            if index >= len(self._due_s):
                client.close()
                return
            due_s = self._start_s + self._due_s[index]
            wait_s = due_s - time.monotonic()
            was_early = wait_s > 0.0
            while wait_s > 0.0:
                time.sleep(min(wait_s, _NAP_S))
                wait_s = due_s - time.monotonic()
            sent_s = time.monotonic()
            first_s, parts, is_ok = sent_s, 0, False
            try:
                first_s, parts = client.exchange(index)
                is_ok = True
            except (OSError, RequestError):
                client.close()
            done_s = time.monotonic()
            lag_s = sent_s - due_s if was_early else 0.0
            os.write(
                self._pipe,
                _RECORD.pack(index, first_s - due_s, done_s - due_s, lag_s, first_s - sent_s, parts, is_ok),
            )
