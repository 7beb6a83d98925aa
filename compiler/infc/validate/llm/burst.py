"""Sends the requests of a burst to an OpenAI-compatible server, and notes when each token came."""

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from infc.diag import ToolError
from infc.validate.llm.design import Burst

_PATH = "/v1/completions"
_FIRST_TOKEN = 10
"""Token numbers below are often special ones."""
_LINE_BYTES = 1 << 22
_TIMEOUT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """Where a model is served (`http://host:port`), under which name, and how many tokens it knows."""

    url: str
    name: str
    vocabulary: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """When a request was sent, and when each of its tokens came (those of one message together)."""

    sent_s: float
    token_s: tuple[float, ...]

    @property
    def ttft_s(self) -> float:
        """Seconds from sending to the first token."""
        return self.token_s[0] - self.sent_s


def send_burst(served: ServedModel, burst: Burst, random: np.random.Generator) -> tuple[Answer, ...]:
    """Send a burst's requests at once, and its joining prompts one by one when all of them decode.

    The prompts are random tokens, so that none begins like another.

    Returns: the answers, of the joining ones last.

    Raises:
        ToolError: the server refuses a request, does not answer, or ends.
    """
    try:
        return asyncio.run(asyncio.wait_for(_send_burst(served, burst, random), _TIMEOUT_S))
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        reason = str(error) or type(error).__name__
        raise ToolError(f"the server at {served.url} does not answer: {reason}") from error


async def _send_burst(served: ServedModel, burst: Burst, random: np.random.Generator) -> tuple[Answer, ...]:
    first = [asyncio.Event() for _ in range(burst.requests)]
    messages = [_message(served, burst.prompt_tokens, burst.output_tokens, random) for _ in first]
    joining = [_message(served, tokens, 1, random) for tokens in burst.joining]
    sent = [asyncio.create_task(_stream(served, *each)) for each in zip(messages, first, strict=True)]
    answers: list[Answer] = []
    try:
        if joining:
            decoding = asyncio.gather(*(each.wait() for each in first))
            await asyncio.wait((decoding, *sent), return_when=asyncio.FIRST_COMPLETED)
            decoding.cancel()
            answers = [await _stream(served, message, asyncio.Event()) for message in joining]
        return (*await asyncio.gather(*sent), *answers)
    finally:
        for task in sent:
            task.cancel()


def _message(served: ServedModel, prompt: int, output: int, random: np.random.Generator) -> bytes:
    content = {
        "model": served.name,
        "prompt": random.integers(min(_FIRST_TOKEN, served.vocabulary - 1), served.vocabulary, prompt).tolist(),
        "max_tokens": output,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "return_token_ids": True,
    }
    body = json.dumps(content).encode()
    parts = urlsplit(served.url)
    head = (
        f"POST {parts.path.rstrip('/')}{_PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def _stream(served: ServedModel, message: bytes, has_begun: asyncio.Event) -> Answer:
    parts = urlsplit(served.url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    sent_s = time.perf_counter()
    reader, writer = await asyncio.open_connection(parts.hostname, port, limit=_LINE_BYTES, ssl=secure)
    try:
        writer.write(message)
        status = await reader.readline()
        if b" 200 " not in status:
            told = (await reader.read(2000)).decode(errors="replace").rpartition("\r\n\r\n")[2]
            raise ToolError(
                f"the server at {served.url} refused a request: {status.decode(errors='replace').strip()}",
                help=told.strip() or "see its log",
            )
        token_s: list[float] = []
        while line := await reader.readline():
            if line.startswith(b"data: {"):
                now_s = time.perf_counter()
                token_s += [now_s] * _tokens(line)
                if token_s:
                    has_begun.set()
    finally:
        writer.close()
    if not token_s:
        raise ToolError(f"the server at {served.url} closed a stream without a token", help="see its log")
    return Answer(sent_s=sent_s, token_s=tuple(token_s))


def _tokens(line: bytes) -> int:
    """Tokens that a message brings."""
    try:
        message = json.loads(line[6:])
    except ValueError:
        return 0
    choices: Sequence[object] = message.get("choices") or ()
    return sum(len(each.get("token_ids") or ()) for each in choices if isinstance(each, dict))
