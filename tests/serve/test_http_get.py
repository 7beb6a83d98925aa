"""Bounded requests to servers that may be slow, huge, broken or no HTTP servers at all."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from infc.diag import ToolError
from infc.serve.http_get import endpoint_from, get
from infc.serve.prometheus import scrape


@contextmanager
def answering(reply: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on loopback that reads one request and then does `reply`; yields host:port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                with suppress(OSError):  # the client is gone, as it should be
                    reply(connection)
                stop.wait(0.05)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join(timeout=10)


def test_an_answer_is_read() -> None:
    """Status and body come back, whatever the status."""
    with answering(lambda peer: peer.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")) as address:
        answer = get(endpoint_from(address), "/version")
    assert (answer.status, answer.body) == (404, b"no")


def test_a_redirect_is_not_followed() -> None:
    """Another server is never asked."""
    reply = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"
    with answering(lambda peer: peer.sendall(reply)) as address, pytest.raises(ToolError, match="HTTP 302"):
        scrape(address)


def drip(peer: socket.socket) -> None:
    """One byte of a header at a time, for ever."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        peer.sendall(b"a")
        threading.Event().wait(0.02)


def flood(peer: socket.socket) -> None:
    """A body without an end."""
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        peer.sendall(b"a" * 65536)


@pytest.mark.parametrize(
    ("reply", "timeout_s", "reason"),
    [
        (drip, 0.3, "not within 0.3 s"),
        (lambda peer: peer.recv(1), 0.3, "not within 0.3 s"),
        (flood, 60.0, "longer than 100000 bytes"),
        (lambda peer: peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), 60.0, "no answer to GET /x"),
        (lambda peer: None, 60.0, "no answer to GET /x"),
        (lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"), 60.0, "no answer to GET /x"),
    ],
    ids=["drips", "silent", "endless", "not-http", "hangs-up", "cut-short"],
)
def test_a_hostile_server_is_a_tool_error(
    reply: Callable[[socket.socket], None], timeout_s: float, reason: str
) -> None:
    """Slow, endless, foreign and broken answers end in time, with a reason."""
    with answering(reply) as address, pytest.raises(ToolError, match=reason):
        get(endpoint_from(address), "/x", timeout_s=timeout_s, max_bytes=100_000)


def test_nobody_there_is_a_tool_error() -> None:
    """A closed port says so, with what to check."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ToolError, match="no answer to GET /metrics") as raised:
        scrape(f"127.0.0.1:{port}", 2.0)
    assert raised.value.help is not None


@pytest.mark.parametrize(
    "text",
    [
        "ftp://a",
        "http://",
        "http://a:b",
        "http://a:99999",
        "http://user:secret@a",
        "http://a/?x=1",
        "a b",
        "http://[::1",
    ],
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    """Only http and https addresses without credentials, query or fragment."""
    with pytest.raises(ToolError, match="address of a server"):
        endpoint_from(text)


def test_ipv6_addresses_keep_their_brackets() -> None:
    """An address with colons is written as URLs write it."""
    assert endpoint_from("http://[::1]:8000").url == "http://[::1]:8000"
