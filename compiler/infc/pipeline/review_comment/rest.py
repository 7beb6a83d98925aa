"""Questions to a provider's REST API: bounded in time, size and repetition; the token is never shown.

Source: GitHub Docs, "Best practices for using the REST API" (retry-after, x-ratelimit-remaining); GitLab Docs,
"Rate limits" (429 with Retry-After).
"""

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from infc import __version__
from infc.diag import ToolError

TIMEOUT_S = 20.0
ATTEMPTS = 4
LONGEST_WAIT_S = 60.0
MAX_BYTES = 16 << 20
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


class NotAllowedError(ToolError):
    """The token may not do this: that of a fork is read-only. The message says what was refused."""


class UnsettledError(ToolError):
    """A request that is not repeatable got no clear answer: it may have been carried out."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server said. Names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ToolError: it is not.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ToolError(f"the answer of the API is not JSON (status {self.status})") from None


@dataclass(frozen=True, kw_only=True)
class RestApi:
    """One API. `headers` hold the token and go nowhere else: redirects are answers, not followed."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float = TIMEOUT_S
    sleep: Callable[[float], None] = time.sleep

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Reply:
        """The answer, whatever its status. Busy and broken servers are asked again, at most `ATTEMPTS` times.

        Raises:
            ToolError: no answer at all.
            UnsettledError: a POST that may or may not have been carried out.
        """
        address = self.url + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(ATTEMPTS):
            is_last = attempt == ATTEMPTS - 1
            try:
                reply = fetch(address, method=method, data=data, headers=self.headers, timeout_s=self.timeout_s)
            except (OSError, http.client.HTTPException) as error:
                if method == "POST":
                    raise UnsettledError(_reason(error)) from error
                if is_last:
                    raise ToolError(
                        f"no answer to {method} {path} of {self.url}: {_reason(error)}",
                        help="check the address of the API and the network of the runner",
                    ) from error
                self.sleep(_backoff_s(attempt))
                continue
            wait_s = _wait_s(reply, attempt)
            if wait_s is None or is_last:
                return reply
            if method == "POST" and reply.status >= 500:
                raise UnsettledError(f"status {reply.status}")
            self.sleep(wait_s)
        raise AssertionError("unreachable")


def fetch(
    address: str,
    *,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_BYTES,
) -> Reply:
    """One exchange over http or https, through the proxy of the environment.

    Raises:
        OSError, http.client.HTTPException: no answer.
        ToolError: the address is none, or the answer is longer than `max_bytes`.
    """
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise ToolError("the address of the API is not http or https")
    sent = {"User-Agent": f"infc/{__version__}", "Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(address, data=data, headers=sent, method=method)  # noqa: S310 - checked above
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=timeout_s) as response:
            return _reply(response.status, response.headers.items(), response, max_bytes)
    except urllib.error.HTTPError as error:
        with error:
            return _reply(error.code, error.headers.items(), error, max_bytes)


def checked_token(token: str) -> str:
    """The token, if it can stand in a header.

    Raises:
        ToolError: it cannot; the message does not show it.
    """
    if not _TOKEN.fullmatch(token):
        raise ToolError(
            "the token holds characters that no token has", help="set it again, without spaces or line ends"
        )
    return token


def expected(reply: Reply, what: str, *statuses: int) -> Reply:
    """The reply, if it has one of the statuses.

    Raises:
        NotAllowedError: 403.
        ToolError: any other status, with the server's own words.
    """
    if reply.status in statuses:
        return reply
    if reply.status == 403 and not _is_limited(reply):
        raise NotAllowedError(f"{what}: {_said(reply)}")
    help = "the token is wrong or expired" if reply.status == 401 else None
    raise ToolError(f"{what} failed: {_said(reply)}", help=help)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Never another request."""


def _reply(status: int, headers: Any, stream: Any, max_bytes: int) -> Reply:
    body = stream.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise ToolError(f"an answer is longer than {max_bytes >> 20} MiB")
    return Reply(status=status, headers={name.lower(): value for name, value in headers}, body=body)


def _wait_s(reply: Reply, attempt: int) -> float | None:
    """How long to wait before asking again; None: the answer stands."""
    if not _is_limited(reply) and reply.status < 500:
        return None
    asked = reply.headers.get("retry-after", "")
    return min(float(asked), LONGEST_WAIT_S) if asked.isascii() and asked.isdigit() else _backoff_s(attempt)


def _is_limited(reply: Reply) -> bool:
    """Whether the server wants to be asked less: GitHub says so with 403 as well."""
    is_spent = "retry-after" in reply.headers or reply.headers.get("x-ratelimit-remaining") == "0"
    return reply.status == 429 or (reply.status == 403 and is_spent)


def _backoff_s(attempt: int) -> float:
    return float(2**attempt)


def _said(reply: Reply) -> str:
    try:
        answer = json.loads(reply.body)
        words = str(answer.get("message") or answer.get("error") or "")
    except (ValueError, AttributeError, RecursionError):
        words = ""
    shown = "".join(sign if sign.isprintable() else " " for sign in words)[:200]
    return f"{reply.status} {shown}".strip()


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).strip() or type(error).__name__
