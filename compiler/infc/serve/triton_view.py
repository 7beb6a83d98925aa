"""What a running Triton says of itself: version, loaded models, the configuration in effect, statistics, metrics.

Places: `/v2`; the index of the model repository; `/v2/models/<name>/config` and `/stats`; and `/metrics`, which Triton
serves on a port of its own. Nothing is taken for granted: what no place says is absent, with the reason in `silent`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from infc.diag import ToolError
from infc.serve.http_get import Answer, Endpoint, endpoint_from, get
from infc.serve.prometheus import Metrics, scrape
from infc.serve.statistics import ModelStatistics, statistics_from_json

METRICS_PORT_OFFSET = 2
"""How far the port of the metrics is from that of HTTP by default: 8000 and 8002."""
INDEX = "/v2/repository/index"
_TIMEOUT_S = 10.0
_MAX_NAME = 300


@dataclass(frozen=True, kw_only=True)
class TritonView:
    """A server as it shows itself, and one model of it.

    `loaded` maps each model that serves to its versions, None where the server does not tell. `config` is the model's
    configuration in effect (protobuf JSON), None where the model is not loaded; then there are no `statistics` either.
    `beside` are those of other models that were asked for, as far as they are loaded. `metrics` are None where no page
    was found. `silent` maps each place that said nothing to why.
    """

    url: str
    metrics_url: str
    version: str | None
    loaded: Mapping[str, tuple[str, ...]] | None
    config: Mapping[str, object] | None
    statistics: ModelStatistics | None
    metrics: Metrics | None
    silent: Mapping[str, str]
    beside: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def view_triton(
    url: str,
    model: str,
    *,
    beside: Sequence[str] = (),
    metrics_url: str | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> TritonView:
    """Ask a running server what it is and how it serves `model`; a few small questions, nothing is changed.

    `beside` are other models whose configuration is wanted.

    Raises:
        ToolError: nothing answers, or what answers is no Triton; or `metrics_url` was named and has no metrics.
    """
    endpoint = endpoint_from(url)
    server = _server(endpoint, timeout_s)
    silent: dict[str, str] = {}
    config = _ask(endpoint, _config_path(model), silent, timeout_s)
    others = {other: _ask(endpoint, _config_path(other), silent, timeout_s) for other in beside}
    page_url = metrics_url or _beside(endpoint)
    try:
        metrics = scrape(page_url, timeout_s)
    except ToolError as error:
        if metrics_url is not None:
            raise
        metrics, silent["/metrics"] = None, str(error)
    version = server.get("version")
    return TritonView(
        url=endpoint.url,
        metrics_url=page_url,
        version=version if isinstance(version, str) and _is_name(version) else None,
        loaded=_loaded(endpoint, silent, timeout_s),
        config=config,
        statistics=read_statistics(endpoint.url, model, timeout_s=timeout_s) if config is not None else None,
        metrics=metrics,
        silent=silent,
        beside={other: found for other, found in others.items() if found is not None},
    )


def _config_path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}/config"


def read_statistics(url: str, model: str, *, timeout_s: float = _TIMEOUT_S) -> ModelStatistics:
    """One reading of a model's counters, over all its loaded versions.

    Raises:
        ToolError: nothing answers, or what answers are no statistics.
    """
    path = f"/v2/models/{quote(model, safe='')}/stats"
    answer = get(endpoint_from(url), path, timeout_s=timeout_s)
    try:
        return statistics_from_json(json.loads(answer.body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ToolError(
            f"the server at {url} has no statistics of {model}: {_reason(answer)}",
            help="start tritonserver with the model loaded, and without --allow-http restrictions on statistics",
        ) from error


def again(view: TritonView, model: str, *, timeout_s: float = _TIMEOUT_S) -> TritonView:
    """The same server later: statistics and metrics only.

    Raises:
        ToolError: it no longer answers.
    """
    return replace(
        view,
        statistics=None if view.statistics is None else read_statistics(view.url, model, timeout_s=timeout_s),
        metrics=None if view.metrics is None else scrape(view.metrics_url, timeout_s),
    )


def _server(endpoint: Endpoint, timeout_s: float) -> Mapping[str, object]:
    """The server's metadata.

    Raises:
        ToolError: nothing answers, or what answers is no Triton.
    """
    answer = get(endpoint, "/v2", timeout_s=timeout_s)
    document = _document(answer)
    extensions = document.get("extensions") if isinstance(document, dict) else None
    if answer.status != 200 or not isinstance(document, dict) or not isinstance(extensions, list):
        raise ToolError(
            f"the server at {endpoint.url} is no Triton: {_reason(answer)} to GET /v2",
            help="give the address of tritonserver's HTTP port, 8000 unless it was changed",
        )
    return document


def _beside(endpoint: Endpoint) -> str:
    """Where a server's metrics are when nobody says so."""
    return replace(endpoint, is_https=False, port=min(endpoint.port + METRICS_PORT_OFFSET, 65535), prefix="").url


def _loaded(endpoint: Endpoint, silent: dict[str, str], timeout_s: float) -> Mapping[str, tuple[str, ...]] | None:
    """Models that are ready, with their versions."""
    try:
        answer = get(endpoint, INDEX, timeout_s=timeout_s, question=b'{"ready":true}')
    except ToolError as error:
        silent[INDEX] = str(error)
        return None
    document = _document(answer)
    if answer.status != 200 or not isinstance(document, list):
        silent[INDEX] = _reason(answer)
        return None
    found: dict[str, list[str]] = {}
    for entry in document:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not _is_name(name) or entry.get("state", "READY") != "READY":
            continue
        found.setdefault(name, []).append(str(entry.get("version", ""))[:_MAX_NAME])
    return {name: tuple(sorted(versions)) for name, versions in sorted(found.items())}


def _ask(endpoint: Endpoint, path: str, silent: dict[str, str], timeout_s: float) -> Mapping[str, object] | None:
    answer = get(endpoint, path, timeout_s=timeout_s)
    document = _document(answer)
    if answer.status == 200 and isinstance(document, dict):
        return document
    silent[path] = _reason(answer)
    return None


def _document(answer: Answer) -> object:
    try:
        document: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return document


def _reason(answer: Answer) -> str:
    """`HTTP 400: Request for unknown model: 'x' is not found`, from what the server answered."""
    document = _document(answer)
    error = document.get("error") if isinstance(document, dict) else None
    words = f": {error[:_MAX_NAME]}" if isinstance(error, str) and error.isprintable() else ""
    return f"HTTP {answer.status}{words}"


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _MAX_NAME and text.isprintable()
