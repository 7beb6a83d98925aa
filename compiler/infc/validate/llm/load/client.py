"""One streamed completion after another on kept connections: when its first, each next and its last token came."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from infc.serve.http_get import Endpoint
from infc.validate.llm.load.http_stream import ResponseReader, StreamError

_PATH = "/v1/completions"
_MAX_IDLE_S = 2.0
"""Connections that were idle for longer are not used again: servers close them (vLLM after 5 s)."""
_MAX_TEXT = 300


class Outcome(IntEnum):
    """What became of a request; a refusal is the HTTP status."""

    OK = 0
    NO_CONNECTION = 1
    TIMEOUT = 2
    BROKEN = 3
    """The stream ended early, or was none."""
    NO_TOKENS = 4
    ERROR_EVENT = 5
    """The server reported an error inside the stream."""


@dataclass(kw_only=True)
class Answer:
    """What came of one request. Times are monotonic seconds; `gaps_s` lie between its tokens, 0 for those together.

    `prompt_tokens` is what the server counted, 0 where it does not say. `outcome` is an `Outcome` or an HTTP status.
    """

    first_s: float = 0.0
    last_s: float = 0.0
    tokens: int = 0
    prompt_tokens: int = 0
    gaps_s: list[float] = field(default_factory=list)
    outcome: int = Outcome.OK
    text: str = ""

    def take(self, event: bytes, now_s: float) -> None:
        """One event of the stream."""
        if event == b"[DONE]":
            return
        try:
            message = json.loads(event)
        except ValueError:
            self.fail(Outcome.BROKEN, f"an event that is no JSON: {event[:80]!r}")
            return
        if not isinstance(message, dict) or message.get("error"):
            self.fail(Outcome.ERROR_EVENT, _error_text(event))
            return
        usage = message.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        choices = message.get("choices")
        total = _count(usage.get("completion_tokens"))
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            ids = choices[0].get("token_ids")
            if total is None:
                total = self.tokens + (len(ids) if isinstance(ids, list) else int(bool(choices[0].get("text"))))
            self._arrive(total - self.tokens, now_s)
        elif total is not None and total > self.tokens > 0:
            self.gaps_s += [0.0] * (total - self.tokens)  # a server that puts several tokens in a message
            self.tokens = total
        self.prompt_tokens = _count(usage.get("prompt_tokens")) or self.prompt_tokens

    def fail(self, outcome: int, text: str) -> None:
        """It failed, for a reason in words; what failed first counts."""
        if self.outcome == Outcome.OK:
            self.outcome, self.text = outcome, text[:_MAX_TEXT]

    def _arrive(self, count: int, now_s: float) -> None:
        if count <= 0:
            return
        if self.tokens:
            self.gaps_s.append(now_s - self.last_s)
        else:
            self.first_s = now_s
        self.gaps_s += [0.0] * (count - 1)
        self.tokens += count
        self.last_s = now_s


class CompletionClient:
    """Sends completions to one server. Connections are kept and used again; close it when done.

    Args:
        endpoint: the server.
        headers: more header lines, such as `Authorization`.
        timeout_s: of a whole request, from `ask` to its last token.
    """

    def __init__(self, endpoint: Endpoint, *, headers: dict[str, str], timeout_s: float) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._ssl = ssl.create_default_context() if endpoint.is_https else None
        lines = {"Content-Type": "application/json", "Accept": "text/event-stream", **headers}
        host = endpoint.url.split("//", 1)[1].split("/", 1)[0]
        self._head = f"POST {endpoint.prefix}{_PATH} HTTP/1.1\r\nHost: {host}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in lines.items()
        )
        self._idle: list[_Connection] = []

    async def ask(self, body: bytes, on_first: Callable[[float], None] = lambda _: None) -> Answer:
        """Send one request and follow its stream to the end. `on_first` is told when the first token came."""
        answer = Answer()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._exchange(body, answer, on_first)
        except TimeoutError:
            answer.fail(Outcome.TIMEOUT, f"not complete after {self._timeout_s:g} s")
        except OSError as error:
            answer.fail(Outcome.NO_CONNECTION, str(error) or type(error).__name__)
        except StreamError as error:
            answer.fail(Outcome.BROKEN, str(error))
        if answer.outcome == Outcome.OK and not answer.tokens:
            answer.fail(Outcome.NO_TOKENS, "an answer without a token")
        return answer

    def close(self) -> None:
        """Close every idle connection."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _exchange(self, body: bytes, answer: Answer, on_first: Callable[[float], None]) -> None:
        message = f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        connection = await self._connection()
        try:
            try:
                await connection.send(message, answer, on_first)
            except StreamError:
                if not connection.is_stale:
                    raise
                connection = await self._connect()  # the server had closed it meanwhile, and saw nothing
                await connection.send(message, answer, on_first)
        except BaseException:
            connection.close()
            raise
        if connection.is_reusable:
            connection.idle_since_s = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    async def _connection(self) -> "_Connection":
        oldest_s = time.monotonic() - _MAX_IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since_s >= oldest_s and connection.is_open:
                return connection
            connection.close()
        return await self._connect()

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, self._endpoint.host, self._endpoint.port, ssl=self._ssl)
        return made


class _Connection(asyncio.Protocol):
    """One connection. Bytes are stamped as they come in, before anything is read out of them."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._answer: Answer | None = None
        self._on_first: Callable[[float], None] = lambda _: None
        self._done: asyncio.Future[None] | None = None
        self._requests = 0
        self._has_bytes = False
        self.idle_since_s = 0.0
        self.is_open = False
        self.is_reusable = False

    @property
    def is_stale(self) -> bool:
        """Whether it was used before, and broke without a byte of this answer."""
        return self._requests > 1 and not self._has_bytes

    async def send(self, message: bytes, answer: Answer, on_first: Callable[[float], None]) -> None:
        """Send a request and wait for the end of its answer."""
        self._reader, self._answer, self._on_first = ResponseReader(), answer, on_first
        self._requests, self._has_bytes = self._requests + 1, False
        self._done = asyncio.get_running_loop().create_future()
        assert self._transport is not None  # noqa: S101 - a connection that was made has one
        self._transport.write(message)
        await self._done

    def close(self) -> None:
        """Close it; what is on its way is dropped."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is of a stream
        self._transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        self._has_bytes = True
        reader, answer = self._reader, self._answer
        if reader is None or answer is None:
            self.is_open = False  # bytes that nobody asked for
            return
        try:
            events = reader.feed(data)
        except StreamError as error:
            self._finish(error)
            return
        had_tokens = answer.tokens > 0
        for event in events:
            answer.take(event, now_s)
        if answer.tokens and not had_tokens:
            self._on_first(now_s)
        if reader.is_complete:
            if reader.status != 200:
                answer.fail(reader.status, _error_text(reader.body))
            self.is_reusable = reader.is_reusable
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = self.is_reusable = False
        if self._done is None or self._done.done() or self._reader is None:
            return
        try:
            self._reader.end()
        except StreamError as error:
            self._finish(error if exc is None else StreamError(str(exc) or type(exc).__name__))
        else:
            self._finish(None)

    def _finish(self, error: StreamError | None) -> None:
        self._reader = self._answer = None
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)


def _error_text(body: bytes) -> str:
    """What an error's body says: OpenAI's message, vLLM's `detail`, or its beginning."""
    text = body.decode("utf-8", errors="replace")
    with contextlib.suppress(ValueError):
        document = json.loads(text)
        if isinstance(document, dict):
            inner = document.get("error", document)
            said = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
            if isinstance(said, str):
                return said
    return text.strip() or "no reason given"


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
