"""The process that sends: open loop, at absolute times, in an interpreter of its own so that nothing else delays it.

    python -m infc.validate.load.sender JOB.npz HOST:PORT TIMEOUT_S MAX_OUTSTANDING [PRIORITY]

A request is sent when its time has come, whatever became of those before it. Results go to standard output as frames
(`FRAME` and then the arrays it announces). A closed standard input, or the byte `s` on it, ends the sending; what is
on its way is then waited for until its timeout, or cancelled on the byte `c`.
"""

import collections
import functools
import itertools
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

FRAME = struct.Struct("<dIIB")
"""Clock, number of newly sent requests, number of results, and 1 in the last frame."""
RESULT = np.dtype([("index", "<u4"), ("done_s", "<f8"), ("code", "<i2")])
"""One answer: index of the request, monotonic time, gRPC status code (0 is ok)."""
INFER_METHOD = "/inference.GRPCInferenceService/ModelInfer"
FRAME_INTERVAL_S = 0.05
_CONNECT_TIMEOUT_S = 10.0


class Sender:
    """Sends the job's requests on time and collects what comes back."""

    def __init__(self, job: Path, target: str, timeout_s: float, max_outstanding: int) -> None:
        import grpc

        with np.load(job, allow_pickle=False) as arrays:
            self._arrivals_s = arrays["arrivals_s"]
            self._order = arrays["order"]
            offsets, content = arrays["offsets"], arrays["content"].tobytes()
        self._messages = [content[a:b] for a, b in itertools.pairwise(offsets)]
        self._timeout_s = timeout_s
        self._max_outstanding = max_outstanding
        self._results: collections.deque[tuple[int, float, int]] = collections.deque()
        self._sent_s = np.zeros(len(self._arrivals_s))
        self._sent = 0
        self._answered = 0
        self.is_stopping = threading.Event()
        self.is_cancelling = threading.Event()
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(target, options=options)
        grpc.channel_ready_future(self._channel).result(_CONNECT_TIMEOUT_S)
        self._infer = self._channel.unary_unary(INFER_METHOD)

    def send_all(self) -> None:
        """Send at the scheduled times until the job ends or a stop is asked for."""
        clock, sleep, stopping = time.monotonic, time.sleep, self.is_stopping
        start_s = clock() + 2 * FRAME_INTERVAL_S
        for index, arrival_s in enumerate(self._arrivals_s.tolist()):
            while (wait_s := start_s + arrival_s - clock()) > 0.0:
                sleep(min(wait_s, 0.1))
                if stopping.is_set():
                    return
            if stopping.is_set() or self._sent - self._answered >= self._max_outstanding:
                return
            message = self._messages[self._order[index]]
            sent_s = clock()
            self._sent_s[index] = sent_s
            future = self._infer.future(message, timeout=self._timeout_s)
            self._sent = index + 1
            future.add_done_callback(functools.partial(self._on_answer, index))

    def wait_for_answers(self) -> None:
        """Wait until nothing is on its way, or cancel it when asked to."""
        while self._answered < self._sent and not self.is_cancelling.is_set():
            time.sleep(FRAME_INTERVAL_S / 5)

    def close(self) -> None:
        """Cancel what is left and close the connection."""
        self._channel.close()

    def _on_answer(self, index: int, call: Any) -> None:
        done_s = time.monotonic()
        self._results.append((index, done_s, int(call.code().value[0])))
        self._answered += 1

    def write_frames(self, out: BinaryIO, is_finished: threading.Event) -> None:
        """Write a frame every `FRAME_INTERVAL_S` until `is_finished`, then the last one."""
        told = 0
        while True:
            is_last = is_finished.wait(FRAME_INTERVAL_S)
            sent = self._sent
            rows = [self._results.popleft() for _ in range(len(self._results))]
            out.write(FRAME.pack(time.monotonic(), sent - told, len(rows), is_last))
            out.write(self._sent_s[told:sent].tobytes() + np.array(rows, dtype=RESULT).tobytes())
            out.flush()
            told = sent
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


def main() -> int:
    """Run one job; returns the exit code. 3: no connection."""
    import grpc

    job, target, timeout_s, max_outstanding, *priority = sys.argv[1:]
    if priority:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(int(priority[0])))
    sys.setswitchinterval(0.0005)
    try:
        sender = Sender(Path(job), target, float(timeout_s), int(max_outstanding))
    except grpc.FutureTimeoutError:
        print(f"no gRPC server answers at {target}", file=sys.stderr)
        return 3
    is_finished = threading.Event()
    threading.Thread(target=sender.obey, args=(sys.stdin.buffer,), daemon=True).start()
    writer = threading.Thread(target=sender.write_frames, args=(sys.stdout.buffer, is_finished))
    writer.start()
    try:
        sender.send_all()
        sender.wait_for_answers()
    finally:
        is_finished.set()
        writer.join()
        sender.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
