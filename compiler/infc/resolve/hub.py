"""Asking the Hugging Face hub what a model looks like: its commit and its config.json, nothing else.

Only `--fetch` leads here; everything else of infc works offline. Over HTTPS (plain HTTP to this machine only), with
limits on size and time, and a token only ever to the endpoint itself.
"""

import ipaddress
import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO

from infc.diag import Diagnostic
from infc.resolve.hf_config.config_file import MAX_CONFIG_BYTES, QUANTIZATION_FILE

DEFAULT_ENDPOINT = "https://huggingface.co"
CONFIG_FILE = "config.json"
TIMEOUT_S = 20.0
"""Longest wait for a connection, and for each part of an answer."""
_MAX_LISTING_BYTES = 32 * 2**20
"""The listing of a repository names every file; the largest have some ten thousand."""
_MAX_REDIRECTS = 4
_ON = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """What the hub says of a model: the commit that a revision is today, and its small config files by name."""

    repo: str
    revision: str | None
    commit: str
    files: Mapping[str, bytes]


def fetch_model(
    repo: str, revision: str | None, environment: Mapping[str, str]
) -> tuple[HubModel | None, Diagnostic | None]:
    """The commit and the config files of a repository at a revision (None: main), from the hub.

    `environment` is read for HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE, as huggingface_hub does. Of the files only
    config.json and, where there is one, hf_quant_config.json are taken.
    """
    try:
        endpoint = _endpoint(environment)
        wanted = urllib.parse.quote(revision or "main", safe="")
        token = environment.get("HF_TOKEN") or None
        listing = _get(f"{endpoint}/api/models/{repo}/revision/{wanted}", token, _MAX_LISTING_BYTES)
        commit, names = _commit_and_files(listing)
        if CONFIG_FILE not in names:
            raise _HubError("plan-hub-answer", "it has no config.json", "name a repository of a language model")
        files = {
            name: _get(f"{endpoint}/{repo}/resolve/{commit}/{name}", token, MAX_CONFIG_BYTES)
            for name in (CONFIG_FILE, QUANTIZATION_FILE)
            if name in names
        }
    except _HubError as error:
        return None, _diagnostic(error, repo, revision)
    return HubModel(repo=repo, revision=revision, commit=commit, files=files), None


class _HubError(Exception):
    """What went wrong, as the diagnostic says it."""

    def __init__(self, id: str, reason: str, help: str) -> None:
        super().__init__(reason)
        self.id, self.reason, self.help = id, reason, help


def _endpoint(environment: Mapping[str, str]) -> str:
    """The hub's address without a slash at its end.

    Raises:
        _HubError: the environment forbids the network, or names an address that is not safe to ask.
    """
    if environment.get("HF_HUB_OFFLINE", "").lower() in _ON:
        raise _HubError("plan-hub-unreachable", "HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE for this command")
    endpoint = (environment.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    if not _is_safe(endpoint):
        raise _HubError(
            "plan-hub-unreachable",
            f"HF_ENDPOINT {endpoint[:100]!r} is no https address",
            "write https://host (http is taken for this machine only)",
        )
    return endpoint


def _is_safe(url: str) -> bool:
    """Whether an address is HTTPS, or HTTP on this machine, without credentials in it.

    >>> [_is_safe(u) for u in ("https://huggingface.co", "http://127.0.0.1:8080", "http://example.com", "file:///etc")]
    [True, True, False, False]
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects to safe addresses; the token stays with the host that it is for."""

    max_redirections = _MAX_REDIRECTS
    max_repeats = _MAX_REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not _is_safe(newurl):
            raise _HubError(
                "plan-hub-answer", "it redirects to an address that is not https", "check HF_ENDPOINT and the proxy"
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and _origin(newurl) != _origin(req.full_url):
            following.remove_header("Authorization")
        return following


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _get(url: str, token: str | None, most_bytes: int) -> bytes:
    """The body of an answer.

    Raises:
        _HubError: there is none, it is too large, or the hub refuses.
    """
    headers = {"User-Agent": "infc", "Accept-Encoding": "identity"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    opener = urllib.request.build_opener(_Redirects())
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return _body(response, most_bytes)
    except urllib.error.HTTPError as error:
        raise _refused(error) from error
    except (urllib.error.URLError, OSError, HTTPException, ValueError) as error:
        raise _unreachable(error) from error


def _body(response: HTTPResponse, most_bytes: int) -> bytes:
    body = response.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise _HubError(
            "plan-hub-answer", f"its answer has more than {most_bytes // 2**20} MiB", "check HF_ENDPOINT and the proxy"
        )
    announced = response.headers.get("Content-Length")
    if announced is not None and announced.isdigit() and int(announced) > len(body):
        raise _HubError("plan-hub-unreachable", "its answer was cut short", "run the command again")
    return body


def _refused(error: urllib.error.HTTPError) -> _HubError:
    code = error.code
    if code in (401, 403):
        return _HubError(
            "plan-hub-access",
            f"it does not show it to you (HTTP {code})",
            "check the name; for a gated model accept its licence on its page and set HF_TOKEN to a token that may"
            " read it",
        )
    if code == 404:
        return _HubError("plan-hub-not-found", "it knows no such repository or revision", "check both on its page")
    if code == 429:
        return _HubError("plan-hub-unreachable", "it asks for fewer requests (HTTP 429)", "wait, or set HF_TOKEN")
    return _HubError("plan-hub-unreachable", f"it answers HTTP {code}", "run the command again later")


def _unreachable(error: Exception) -> _HubError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError | socket.timeout):
        return _HubError("plan-hub-unreachable", f"no answer within {TIMEOUT_S:g} s", "check the network and the proxy")
    text = " ".join(str(reason).split())[:150]
    return _HubError("plan-hub-unreachable", text or type(reason).__name__, "check the network, HF_ENDPOINT, the proxy")


def _commit_and_files(listing: bytes) -> tuple[str, frozenset[str]]:
    """The commit and the names of the files, from the description of a model at a revision."""
    try:
        document = json.loads(listing)
        commit = document["sha"]
        names = frozenset(str(entry["rfilename"]) for entry in document["siblings"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _HubError(
            "plan-hub-answer", "its answer is no description of a model", "check HF_ENDPOINT and the proxy"
        ) from error
    if not isinstance(commit, str) or not commit.isalnum() or not 7 <= len(commit) <= 64:
        raise _HubError("plan-hub-answer", "its answer names no commit", "check HF_ENDPOINT and the proxy")
    return commit, names


def _diagnostic(error: _HubError, repo: str, revision: str | None) -> Diagnostic:
    at = f" at {revision}" if revision else ""
    return Diagnostic(id=error.id, message=f"the hub was asked for {repo}{at}: {error.reason}", help=error.help)
