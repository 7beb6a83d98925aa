"""Keeps a number of requests on their way at one server: what makes it form batches of a wanted size.

With twice as many one-row requests outstanding as a batch holds, an instance that frees itself finds the next batch
waiting, whatever the queue delay. Latencies of such a load mean nothing; the server's own service times do.
"""

import itertools
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from infc.diag import ToolError
from infc.validate.load.sender import INFER_METHOD

if TYPE_CHECKING:
    import grpc

_TIMEOUT_S = 60.0


class ClosedLoop:
    """Context manager: one connection on which `hold` keeps requests on their way.

    Args:
        target: host:port of the gRPC server.
        messages: serialised ModelInferRequests, sent one after another, over and over.

    Raises:
        ToolError: tritonclient is not installed.
    """

    def __init__(self, target: str, messages: Sequence[bytes]) -> None:
        try:
            import grpc
        except ImportError as error:
            raise ToolError("measuring through a server needs grpc", help="pip install 'infc[triton]'") from error
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(target, options=options)
        self._infer = self._channel.unary_unary(INFER_METHOD)
        self._messages = itertools.cycle(messages)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._wanted = 0
        self._outstanding = 0
        self._failure: str | None = None
        self._is_closing = False

    def __enter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop what is on its way."""
        with self._lock:
            self._wanted, self._is_closing = 0, True
        self._channel.close()

    def hold(self, outstanding: int) -> None:
        """Keep so many requests on their way from now on.

        Raises:
            ToolError: the server refused a request.
        """
        with self._lock:
            self._wanted = outstanding
            missing = max(outstanding - self._outstanding, 0)
            self._outstanding += missing
        for _ in range(missing):
            self._send()
        self.check()

    def drain(self) -> None:
        """Send no more and wait until every answer came.

        Raises:
            ToolError: the server refused a request, or no longer answers.
        """
        with self._lock:
            self._wanted = 0
            if not self._idle.wait_for(lambda: self._outstanding == 0, _TIMEOUT_S):
                raise ToolError(f"the server left {self._outstanding} requests unanswered for {_TIMEOUT_S:g} s")
        self.check()

    def check(self) -> None:
        """Raise ToolError when the server refused a request."""
        if self._failure is not None:
            raise ToolError(f"the server refuses the requests: {self._failure}")

    def _send(self) -> None:
        with self._lock:
            message = next(self._messages)
        self._infer.future(message, timeout=_TIMEOUT_S).add_done_callback(self._on_answer)

    def _on_answer(self, call: "grpc.Future") -> None:
        code = call.code()
        with self._lock:
            if code.value[0] != 0 and not self._is_closing:
                self._failure = f"{code.name}: {call.details()}"
                self._wanted = 0
            is_wanted = self._outstanding <= self._wanted
            if not is_wanted:
                self._outstanding -= 1
                self._idle.notify_all()
        if is_wanted:
            self._send()
