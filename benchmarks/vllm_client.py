"""Open-loop streaming requests to an OpenAI-compatible server, and when their tokens came."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

_PATH = "/v1/completions"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request: when to send it, its prompt as token numbers, and how many tokens to ask for."""

    at_s: float
    prompt: tuple[int, ...]
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """When a request was sent and answered, in seconds after the start; `pieces` is how many messages came."""

    sent_s: float
    first_s: float
    last_s: float
    pieces: int


def send_all(host: str, port: int, model: str, asks: Sequence[Ask], *, timeout_s: float) -> list[Answer]:
    """Send every request at its time, whatever the others do; answers in the same order.

    Raises:
        TimeoutError: not all were answered in `timeout_s`.
        RuntimeError: the server refused one.
    """
    return asyncio.run(asyncio.wait_for(_send_all(host, port, model, asks), timeout_s))


async def _send_all(host: str, port: int, model: str, asks: Sequence[Ask]) -> list[Answer]:
    bodies = [_message(host, port, model, ask) for ask in asks]
    start_s = time.perf_counter() + 0.2
    return list(
        await asyncio.gather(*(_send(host, port, ask, body, start_s) for ask, body in zip(asks, bodies, strict=True)))
    )


def _message(host: str, port: int, model: str, ask: Ask) -> bytes:
    content = {
        "model": model,
        "prompt": list(ask.prompt),
        "max_tokens": ask.output_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "detokenize": False,
        "return_token_ids": True,
    }
    body = json.dumps(content).encode()
    head = f"POST {_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def _send(host: str, port: int, ask: Ask, message: bytes, start_s: float) -> Answer:
    await asyncio.sleep(max(start_s + ask.at_s - time.perf_counter(), 0.0))
    sent_s = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 22)
    writer.write(message)
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"the server said {status!r}: {(await reader.read(2000))!r}")
    first_s, last_s, pieces = -1.0, -1.0, 0
    while line := await reader.readline():
        if not line.startswith(b"data: {"):
            continue
        if b'"choices":[]' in line:
            continue
        last_s = time.perf_counter()
        first_s = first_s if pieces else last_s
        pieces += 1
    writer.close()
    if not pieces:
        raise RuntimeError("the server closed a stream without a token")
    return Answer(sent_s=sent_s - start_s, first_s=first_s - start_s, last_s=last_s - start_s, pieces=pieces)
