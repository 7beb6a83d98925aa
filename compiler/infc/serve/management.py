"""Triton's HTTP management interface: readiness, model control, configuration, statistics. Standard library only."""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from infc.diag import ToolError
from infc.serve.statistics import ModelStatistics, statistics_from_json

_TIMEOUT_S = 10.0
_LOAD_TIMEOUT_S = 120.0


class RefusedError(ToolError):
    """The server answered with an error status; the text is the server's own reason."""


class TritonManagement:
    """Calls to one server; each opens its own connection, so that none stays open when the server ends.

    `url` is `host:port` or `http://host:port`. Every method raises ToolError when the server does not answer.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ToolError(f"{url} is not the HTTP address of a server", help="give host:port or http://host:port")
        self.url = f"{parts.hostname}:{parts.port or 8000}"

    def is_ready(self) -> bool:
        """Whether the server and all its models are ready to serve; False too when nothing answers."""
        try:
            self._call("GET", "/v2/health/ready")
        except ToolError:
            return False
        return True

    def server_name(self) -> str:
        """The server's own name (`--id`); empty when nothing answers."""
        try:
            return str(self._call("GET", "/v2")["name"])
        except ToolError:
            return ""

    def is_model_ready(self, model: str) -> bool:
        """Whether one model serves requests."""
        try:
            self._call("GET", f"/v2/models/{_segment(model)}/ready")
        except RefusedError:
            return False
        return True

    def models(self) -> Mapping[str, str]:
        """Name -> state (READY, UNAVAILABLE...) of every model in the repository; empty state: not loaded."""
        answer = self._call("POST", "/v2/repository/index", {})
        return {entry["name"]: entry.get("state", "") for entry in answer}

    def model_config(self, model: str) -> Mapping[str, Any]:
        """The effective configuration, defaults filled in, as protobuf JSON."""
        config = self._call("GET", f"/v2/models/{_segment(model)}/config")
        return dict(config)

    def statistics(self, model: str) -> ModelStatistics:
        """Counters since the model was loaded, over all its loaded versions."""
        return statistics_from_json(self._call("GET", f"/v2/models/{_segment(model)}/stats"))

    def load_model(self, model: str, config: Mapping[str, object] | None = None) -> None:
        """Load or reload a model of an explicitly controlled server; `config` (protobuf JSON) replaces config.pbtxt.

        Raises:
            RefusedError: the server could not load it. A version that served before keeps serving.
        """
        parameters = {} if config is None else {"config": json.dumps(config)}
        body = {"parameters": parameters}
        self._call("POST", f"/v2/repository/models/{_segment(model)}/load", body, timeout_s=_LOAD_TIMEOUT_S)

    def unload_model(self, model: str) -> None:
        """Unload a model of an explicitly controlled server; returns before its last request has ended."""
        self._call("POST", f"/v2/repository/models/{_segment(model)}/unload", {})

    def _call(self, method: str, path: str, body: object = None, *, timeout_s: float = _TIMEOUT_S) -> Any:
        connection = http.client.HTTPConnection(self.url, timeout=timeout_s)
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, body=content, headers={"Connection": "close"})
            response = connection.getresponse()
            text = response.read().decode("utf-8", errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ToolError(f"no answer from the server at {self.url}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        try:
            answer = json.loads(text) if text else {}
        except json.JSONDecodeError:
            answer = {"error": text}
        if response.status != http.HTTPStatus.OK:
            reason = answer.get("error") if isinstance(answer, dict) else None
            raise RefusedError(reason or f"HTTP {response.status}")
        return answer


def _segment(name: str) -> str:
    return quote(name, safe="")
