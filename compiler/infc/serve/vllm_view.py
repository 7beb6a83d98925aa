"""What a running vLLM says of itself: its version, its model and limits, each with the place that said so.

Places, in vLLM 0.32: `/version`; `/v1/models`; the labels of `vllm:cache_config_info` on `/metrics`; and
`/server_info`, which a server has only in development mode (VLLM_SERVER_DEV_MODE=1). Nothing is taken for granted: what
no place says is absent.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.diag import ToolError
from infc.serve.http_get import Answer, Endpoint, endpoint_from, get
from infc.serve.prometheus import Metrics, scrape

FactName: TypeAlias = Literal[
    "version",
    "served-model",
    "model-root",
    "revision",
    "max-model-len",
    "max-num-seqs",
    "max-num-batched-tokens",
    "long-prefill-token-threshold",
    "chunked-prefill",
    "prefix-caching",
    "gpu-memory-utilization",
    "kv-cache-dtype",
    "kv-cache-tokens",
    "kv-cache-memory-bytes",
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "dtype",
    "quantization",
    "speculation",
]
FactValue: TypeAlias = str | int | float | bool

KEY_VARIABLE = "VLLM_API_KEY"
"""The variable that vLLM itself takes its key from; sent as a bearer token where it is set."""

_CACHE_INFO = "vllm:cache_config_info"
_SERVER_INFO = "/server_info"
_TIMEOUT_S = 10.0
_MAX_FACT = 300


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that a server says of itself, and where."""

    value: FactValue
    source: str


@dataclass(frozen=True, kw_only=True)
class VllmView:
    """A server as it shows itself. `served_models` are all names that it answers to, the first the usual one.

    `silent` maps each place that said nothing to why (`/server_info` -> `HTTP 404`).
    """

    url: str
    facts: Mapping[FactName, Fact]
    served_models: tuple[str, ...]
    metrics: Metrics
    silent: Mapping[str, str]


def view_vllm(url: str, *, timeout_s: float = _TIMEOUT_S) -> VllmView:
    """Ask a running server what it is; four small requests, nothing is changed.

    Raises:
        ToolError: nothing answers, or what answers is no vLLM.
    """
    endpoint = endpoint_from(url)
    metrics = read_metrics(endpoint.url, timeout_s=timeout_s)
    if not any(name.startswith("vllm:") for name in metrics.samples):
        raise ToolError(
            f"the server at {endpoint.url} is no vLLM: its metrics have none of vLLM's",
            help="give the address of the vLLM server itself",
        )
    silent: dict[str, str] = {}
    version = _ask(endpoint, "/version", silent, timeout_s)
    models = _ask(endpoint, "/v1/models", silent, timeout_s)
    info = _ask(endpoint, f"{_SERVER_INFO}?config_format=json", silent, timeout_s)
    facts: dict[FactName, Fact] = {}
    for found in (_version_facts(version), _model_facts(models), _cache_facts(metrics), _config_facts(info)):
        for name, fact in found:
            facts.setdefault(name, fact)
    return VllmView(
        url=endpoint.url, facts=facts, served_models=tuple(_served_names(models)), metrics=metrics, silent=silent
    )


def read_metrics(url: str, *, timeout_s: float = _TIMEOUT_S) -> Metrics:
    """One reading of a server's metrics, with the server's key where this process has it.

    Raises:
        ToolError: nothing answers, or what answers are no metrics.
    """
    return scrape(url, timeout_s, headers=_key())


def _key() -> Mapping[str, str]:
    key = os.environ.get(KEY_VARIABLE, "")
    return {"Authorization": f"Bearer {key}"} if key and key.isprintable() else {}


def _ask(endpoint: Endpoint, path: str, silent: dict[str, str], timeout_s: float) -> Mapping[str, object]:
    """The JSON object at a path; empty where there is none, with the reason in `silent`."""
    place = path.partition("?")[0]
    try:
        answer = get(endpoint, path, timeout_s=timeout_s, headers={"Accept": "application/json", **_key()})
    except ToolError as error:
        silent[place] = str(error)
        return {}
    if answer.status != 200:
        silent[place] = _refusal(answer)
        return {}
    document = _object(answer)
    if not document:
        silent[place] = "the answer is no JSON object"
    return document


def _refusal(answer: Answer) -> str:
    if answer.status in (401, 403):
        return f"HTTP {answer.status}: set {KEY_VARIABLE} to the server's key"
    return f"HTTP {answer.status}"


def _object(answer: Answer) -> Mapping[str, object]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return _mapping(document)


def _version_facts(document: Mapping[str, object]) -> Iterator[tuple[FactName, Fact]]:
    yield from _fact("version", document.get("version"), "/version")


def _served_names(document: Mapping[str, object]) -> Iterator[str]:
    for entry in _models(document):
        name = entry.get("id")
        if isinstance(name, str) and _is_short_text(name):
            yield name


def _models(document: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The entries of `/v1/models` that are models of their own: adapters have a parent."""
    data = document.get("data")
    entries = [_mapping(entry) for entry in data] if isinstance(data, list) else []
    return [entry for entry in entries if entry and not entry.get("parent")]


def _model_facts(document: Mapping[str, object]) -> Iterator[tuple[FactName, Fact]]:
    for entry in _models(document)[:1]:
        yield from _fact("served-model", entry.get("id"), "/v1/models")
        yield from _fact("model-root", entry.get("root"), "/v1/models")
        yield from _fact("max-model-len", entry.get("max_model_len"), "/v1/models")


def _cache_facts(metrics: Metrics) -> Iterator[tuple[FactName, Fact]]:
    """Facts in the labels of the first engine's line; tokens of the cache are summed over engines."""
    lines = metrics.info(_CACHE_INFO)
    if not lines:
        return
    labels = lines[0]
    yield from _fact("kv-cache-dtype", labels.get("cache_dtype"), _CACHE_INFO)
    yield from _fact("prefix-caching", _flag(labels.get("enable_prefix_caching")), _CACHE_INFO)
    yield from _fact("gpu-memory-utilization", _number(labels.get("gpu_memory_utilization")), _CACHE_INFO)
    memory = _number(labels.get("kv_cache_memory_bytes"))
    yield from _fact("kv-cache-memory-bytes", None if memory is None else round(memory), _CACHE_INFO)
    tokens = [_cache_tokens(line) for line in lines]
    if all(each is not None for each in tokens):
        yield from _fact("kv-cache-tokens", sum(each for each in tokens if each is not None), _CACHE_INFO)


def _cache_tokens(labels: Mapping[str, str]) -> int | None:
    """Tokens that the KV cache of one engine holds; by blocks where the server does not say it in tokens."""
    tokens = _number(labels.get("kv_cache_size_tokens"))
    if tokens is not None:
        return round(tokens)
    blocks, size = _number(labels.get("num_gpu_blocks")), _number(labels.get("block_size"))
    return round(blocks * size) if blocks is not None and size is not None else None


def _config_facts(document: Mapping[str, object]) -> Iterator[tuple[FactName, Fact]]:
    """Facts of the whole configuration; nothing else of it is kept, as it may hold secrets."""
    config = _mapping(document.get("vllm_config"))
    places: tuple[tuple[FactName, str, str], ...] = (
        ("max-model-len", "model_config", "max_model_len"),
        ("model-root", "model_config", "model"),
        ("revision", "model_config", "revision"),
        ("max-num-seqs", "scheduler_config", "max_num_seqs"),
        ("max-num-batched-tokens", "scheduler_config", "max_num_batched_tokens"),
        ("long-prefill-token-threshold", "scheduler_config", "long_prefill_token_threshold"),
        ("chunked-prefill", "scheduler_config", "enable_chunked_prefill"),
        ("prefix-caching", "cache_config", "enable_prefix_caching"),
        ("gpu-memory-utilization", "cache_config", "gpu_memory_utilization"),
        ("kv-cache-dtype", "cache_config", "cache_dtype"),
        ("kv-cache-tokens", "cache_config", "kv_cache_size_tokens"),
        ("kv-cache-memory-bytes", "cache_config", "kv_cache_memory_bytes"),
        ("tensor-parallel-size", "parallel_config", "tensor_parallel_size"),
        ("pipeline-parallel-size", "parallel_config", "pipeline_parallel_size"),
        ("dtype", "model_config", "dtype"),
    )
    for name, section, key in places:
        yield from _fact(name, _mapping(config.get(section)).get(key), _SERVER_INFO)
    if config:  # these are null where there is none, which is a fact
        quantization = _mapping(config.get("model_config")).get("quantization")
        speculation = _mapping(config.get("speculative_config")).get("method")
        yield from _fact("quantization", quantization or "none", _SERVER_INFO)
        yield from _fact("speculation", speculation or "none", _SERVER_INFO)


def _fact(name: FactName, value: object, source: str) -> Iterator[tuple[FactName, Fact]]:
    """The fact, if the value is one that can be compared: short printable text, a number or a flag."""
    if isinstance(value, str) and not _is_short_text(value):
        return
    if isinstance(value, str | int | float | bool):
        yield name, Fact(value=value, source=source)


def _is_short_text(text: str) -> bool:
    return 0 < len(text) <= _MAX_FACT and text.isprintable()


def _flag(text: str | None) -> bool | None:
    return {"True": True, "False": False}.get(text or "")


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
