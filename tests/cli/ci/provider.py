"""A server on loopback that answers as GitHub's and GitLab's REST APIs are documented to, with the faults of real ones.

Source: GitHub Docs, REST API ("Issue comments", "Pull requests", "Workflow artifacts", "Using pagination in the REST
API", "Rate limits for the REST API"); GitLab Docs ("Notes API", "REST API: pagination", "CI/CD job token").
"""

import io
import json
import re
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "ghs_0123456789abcdefSECRET"  # noqa: S105 - of this server only
BOT = "github-actions[bot]"


@dataclass
class Fault:
    """What happens to the next requests of a method: a status with headers, after or instead of carrying them out."""

    method: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    is_carried_out: bool = False
    drops: bool = False


@dataclass
class Provider:
    """The state of one repository, and what was asked."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    archives: dict[int, bytes] = field(default_factory=dict)
    user: dict[str, Any] | None = None
    can_write: bool = True
    is_job_token: bool = False
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    store_headers: list[dict[str, str]] = field(default_factory=list)

    def comment(self, author: str, body: str) -> int:
        """Somebody comments."""
        id = 1000 + len(self.comments)
        who = {"login": author, "id": sum(map(ord, author))}
        self.comments.append({"id": id, "user": who, "author": who, "body": body, "system": False})
        return id

    @property
    def bodies(self) -> list[str]:
        """What stands there, oldest first."""
        return [each["body"] for each in self.comments]

    def writes(self) -> list[str]:
        """Requests that change something."""
        return [method for method, _ in self.asked if method != "GET"]


@contextmanager
def provider() -> Iterator[Provider]:
    """A server with its state, ended afterwards."""
    state = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def archive(files: dict[str, bytes]) -> bytes:
    """A zip file, as the store of artifacts has it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return data.getvalue()


class _Handler(BaseHTTPRequestHandler):
    state: Provider
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.state.asked.append((method, self.path))
        if parts.path.startswith("/store/"):
            self.state.store_headers.append(dict(self.headers.items()))
            return self._send(200, self.state.archives[int(parts.path.rpartition("/")[2])])
        fault = next((each for each in self.state.faults if each.method == method and each.times > 0), None)
        if fault is not None:
            fault.times -= 1
            if fault.is_carried_out:
                self._route(method, parts.path, query, body)
            if fault.drops:
                self.close_connection = True
                return None
            return self._send(fault.status, {"message": "try again"}, fault.headers)
        if not self._is_known():
            return self._send(401, {"message": "Bad credentials"})
        if method != "GET" and not self.state.can_write:
            return self._send(403, {"message": "Resource not accessible by integration"})
        status, answer, headers = self._route(method, parts.path, query, body)
        return self._send(status, answer, headers)

    def _is_known(self) -> bool:
        given = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or self.headers.get("JOB-TOKEN")
        return given in (TOKEN, f"Bearer {TOKEN}")

    def _route(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> tuple[int, Any, dict[str, str]]:
        state = self.state
        if path == "/user":
            if state.is_job_token:
                return 401, {"message": "401 Unauthorized"}, {}
            forbidden = (403, {"message": "Resource not accessible by integration"}, {})
            return (200, state.user, {}) if state.user else forbidden
        if re.fullmatch(r"/repos/o/r/pulls", path):
            owner, _, branch = query["head"].partition(":")
            pulls = [p for p in state.pulls if p["head"]["ref"] == branch and p["head"]["user"]["login"] == owner]
            return 200, [p for p in pulls if p["state"] == query["state"]], {}
        if re.fullmatch(r"/repos/o/r/actions/runs/\d+/artifacts", path):
            found = [each for each in state.artifacts if each["name"] == query["name"]]
            return 200, {"total_count": len(found), "artifacts": found}, {}
        if match := re.fullmatch(r"/repos/o/r/actions/artifacts/(\d+)/zip", path):
            return 302, "", {"Location": f"{state.url}/store/{match[1]}"}
        if re.fullmatch(r"/repos/o/r/issues/7/comments|/projects/42/merge_requests/7/notes", path):
            return self._list(path, query) if method == "GET" else self._create(body)
        if match := re.fullmatch(r"(?:/repos/o/r/issues/comments|/projects/42/merge_requests/7/notes)/(\d+)", path):
            return self._change(method, int(match[1]), body)
        return 404, {"message": "Not Found"}, {}

    def _list(self, path: str, query: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        page, size = int(query["page"]), int(query["per_page"])
        found = self.state.comments[(page - 1) * size : page * size]
        is_last = page * size >= len(self.state.comments)
        if path.startswith("/projects"):
            return 200, found, {"x-next-page": "" if is_last else str(page + 1)}
        link = f'<{self.state.url}{path}?page={page + 1}>; rel="next", <{self.state.url}{path}?page=9>; rel="last"'
        first = f'<{self.state.url}{path}?page=1>; rel="first"'
        return 200, found, {"Link": first if is_last else link} if len(self.state.comments) > size else {}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        author = self.state.user["login"] if self.state.user else BOT
        self.state.comment(author, body["body"])
        return 201, self.state.comments[-1], {}

    def _change(self, method: str, id: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        found = next((each for each in self.state.comments if each["id"] == id), None)
        if found is None:
            return 404, {"message": "Not Found"}, {}
        if method == "DELETE":
            self.state.comments.remove(found)
            return 204, "", {}
        found["body"] = body["body"]
        return 200, found, {}

    def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode() if answer != "" else b""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
