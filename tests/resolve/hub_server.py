"""A hub on this machine: the two addresses that are asked, with whatever answers a test wants."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Answer:
    """One answer: a status, a body, and headers."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Hub:
    """A running hub: its address, and what was asked of it, with the token that came along."""

    url: str
    asked: list[tuple[str, str | None]] = field(default_factory=list)


def answers_for(repo: str, revision: str, files: Mapping[str, bytes], sha: str = SHA) -> dict[str, Answer]:
    """What a hub answers about a repository that has these files."""
    listing = {"id": repo, "sha": sha, "siblings": [{"rfilename": name} for name in [*files, "model.safetensors"]]}
    answers = {f"/api/models/{repo}/revision/{revision}": Answer(body=json.dumps(listing).encode())}
    return answers | {f"/{repo}/resolve/{sha}/{name}": Answer(body=data) for name, data in files.items()}


@contextmanager
def hub_server(answers: Mapping[str, Answer]) -> Iterator[Hub]:
    """A hub that gives these answers by path, and 404 to anything else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append((self.path, self.headers.get("Authorization")))
            answer = answers.get(self.path, Answer(status=404))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(url=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
