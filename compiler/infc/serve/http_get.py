"""One HTTP question, bounded in time and size, without redirects: for servers that infc did not start."""

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import quote, urlsplit

from infc.diag import ToolError

MAX_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a server is: `https` or not, host, port, and what stands before every path (empty: nothing)."""

    is_https: bool
    host: str
    port: int
    prefix: str

    @property
    def url(self) -> str:
        """`http://host:port/prefix`, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_https else 'http'}://{host}:{self.port}{self.prefix}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server said: its status and the bytes of the body."""

    status: int
    body: bytes


def endpoint_from(text: str, *, default_port: int = 8000) -> Endpoint:
    """Read `host:port`, `http://host:port` or `https://host/prefix`.

    Raises:
        ToolError: it is not the HTTP address of a server.

    >>> endpoint_from("gpu-7:8000").url
    'http://gpu-7:8000'
    >>> endpoint_from("https://llm.example.com/chat/").url
    'https://llm.example.com:443/chat'
    """
    hint = "give host:port or http://host:port"
    try:
        parts = urlsplit(text if "//" in text else f"http://{text}")
        port = parts.port
    except ValueError as error:
        raise ToolError(f"{text!r} is not the address of a server: {error}", help=hint) from error
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain or not _is_printable(text):
        raise ToolError(f"{text!r} is not the HTTP address of a server", help=hint)
    is_https = parts.scheme == "https"
    return Endpoint(
        is_https=is_https,
        host=parts.hostname,
        port=port or (443 if is_https else default_port),
        prefix=quote(parts.path.rstrip("/"), safe="/%"),
    )


def get(
    endpoint: Endpoint,
    path: str,
    *,
    timeout_s: float = 10.0,
    max_bytes: int = MAX_BYTES,
    headers: Mapping[str, str] | None = None,
    question: bytes | None = None,
) -> Answer:
    """GET `path` of a server. The whole exchange ends within about `timeout_s`, however slowly bytes drip.

    Redirects are answers like any other (their status says so): another server is never asked. Some interfaces take
    questions by POST only: then `question` is the JSON that asks.

    Raises:
        ToolError: nothing answers in time, the answer is not HTTP, or its body is longer than `max_bytes`.
    """
    method = "GET" if question is None else "POST"
    address = f"{endpoint.host}:{endpoint.port}"
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port)
    with _Deadline(timeout_s) as deadline:
        try:
            connection.sock = deadline.connect(endpoint)
            sent = {"Connection": "close", "Accept-Encoding": "identity", **(headers or {})}
            if question is not None:
                sent["Content-Type"] = "application/json"
            connection.request(method, endpoint.prefix + path, body=question, headers=sent)
            response = connection.getresponse()
            body = response.read(max_bytes + 1)
            if response.length and len(body) <= max_bytes:
                raise http.client.IncompleteRead(body, response.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            is_late = deadline.has_passed or isinstance(error, TimeoutError)
            reason = f"not within {timeout_s:g} s" if is_late else _reason(error)
            raise ToolError(
                f"no answer to {method} {path} from the server at {address}: {reason}",
                help="check the address, and that the server runs and can be reached from here",
            ) from error
        finally:
            connection.close()
    if deadline.has_passed:
        raise ToolError(f"no answer to {method} {path} from the server at {address}: not within {timeout_s:g} s")
    if len(body) > max_bytes:
        raise ToolError(f"the answer to {method} {path} from the server at {address} is longer than {max_bytes} bytes")
    return Answer(status=response.status, body=body)


class _Deadline:
    """Shuts the socket that it connected when time is up: a limit of the whole exchange, not of each read."""

    def __init__(self, timeout_s: float) -> None:
        self.has_passed = False
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def connect(self, endpoint: Endpoint) -> socket.socket:
        self._socket = socket.create_connection((endpoint.host, endpoint.port), timeout=self._timeout_s)
        if endpoint.is_https:
            context = ssl.create_default_context()
            plain = self._socket
            wrapped = context.wrap_socket(plain, server_hostname=endpoint.host, do_handshake_on_connect=False)
            self._socket = wrapped
            wrapped.do_handshake()
        return self._socket

    def _end(self) -> None:
        self.has_passed = True
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                return


def _reason(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _is_printable(text: str) -> bool:
    return text.isprintable() and " " not in text and len(text) <= 2048
