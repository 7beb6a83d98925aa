"""Small services for tests: what a device serves, over real sockets, as fast or slow as a test wants."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Service:
    """How a service behaves, and what it was asked.

    One request is computed at a time, for `service_s`. `stall` is (requests before it, seconds). Every
    `fails_every`th request is refused. `token_s` is the time to each token of a language model. `is_hanging_up`: each
    connection is closed after an answer, without a word.
    """

    service_s: float = 0.0
    stall: tuple[int, float] = (-1, 0.0)
    fails_every: int = 0
    token_s: float = 0.0
    is_ready: bool = True
    is_hanging_up: bool = False
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """The service, listening on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            """Readiness."""
            self.answer(200 if service.is_ready else 503, b"")

        def do_POST(self) -> None:
            """A request."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with service.lock:
                service.bodies.append(body)
                service.connections.add(self.client_address)
                count = len(service.bodies)
                time.sleep(service.service_s + (service.stall[1] if count == service.stall[0] else 0.0))
            if service.fails_every and count % service.fails_every == 0:
                self.answer(500, b"{}")
            elif self.path.startswith("/v1/"):
                self.stream(json.loads(body))
            else:
                head = json.loads(body[: int(self.headers["Inference-Header-Content-Length"])])
                service.heads.append(head)
                self.answer(200, b'{"outputs": []}')

        def stream(self, asked: dict[str, Any]) -> None:
            """Tokens as server-sent events, in chunks."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(asked["max_tokens"]):
                time.sleep(service.token_s)
                self.event({"choices": [{"text": "a"} if "prompt" in asked else {"delta": {"content": "a"}}]})
            self.event({"choices": [], "usage": {"completion_tokens": asked["max_tokens"]}})
            self.chunk(b"data: [DONE]\n\n")
            self.chunk(b"")

        def event(self, value: dict[str, Any]) -> None:
            self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

        def chunk(self, content: bytes) -> None:
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = service.is_hanging_up

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """Clients leave when they have seen enough."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
