"""A server on loopback that plays back what a real vLLM sent, byte for byte, cut into pieces as a network would."""

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DATA = Path(__file__).parent / "data"
"""Answers of vLLM 0.32.0 on a CPU to `specs/tiny-llama`, as they came over the socket."""


def recorded(name: str) -> bytes:
    """A whole HTTP answer."""
    return (DATA / f"{name}.http").read_bytes()


def kept_open(answer: bytes) -> bytes:
    """The same answer from a server that keeps the connection open."""
    return answer.replace(b"connection: close\r\n", b"")


@contextmanager
def playing(*answers: bytes, piece: int = 100_000, pause_s: float = 0.0, pages: Sequence[str] = ()) -> Iterator[str]:
    """The address of a server that gives each request the next answer, in turn; an empty one closes the connection.

    It sends pieces of so many bytes with a pause between them. Whoever asks for metrics gets the next of the pages,
    the last one again and again; without pages they are refused.
    """
    loop = asyncio.new_event_loop()
    turn, page = itertools.count(), itertools.count()
    started = threading.Event()
    address: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                await reader.readexactly(length)
                if head.startswith(b"GET"):
                    text = pages[min(next(page), len(pages) - 1)] if pages else ""
                    status = "200 OK" if pages else "404 Not Found"
                    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
                    continue
                answer = answers[next(turn) % len(answers)]
                if not answer:
                    break
                for start in range(0, len(answer), piece):
                    writer.write(answer[start : start + piece])
                    await writer.drain()
                    await asyncio.sleep(pause_s)
                if b"connection: close" in answer[:400].lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        started.set()
        async with server:
            await server.serve_forever()

    def main() -> None:
        asyncio.set_event_loop(loop)
        task = loop.create_task(run())
        try:
            loop.run_forever()
        finally:
            task.cancel()
            for each in asyncio.all_tasks(loop):
                each.cancel()
            loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
            loop.close()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    started.wait(60.0)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60.0)
