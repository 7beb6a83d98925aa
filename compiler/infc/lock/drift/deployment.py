"""What runs against what is locked: version, model and limits of a vLLM server, one item each."""

import re
from collections.abc import Iterator

from infc.ir.precision import Precision
from infc.lock.drift.item import deployment_item
from infc.lock.drift.values import DriftCell, DriftItem, Window
from infc.lock.values import LockEntry
from infc.serve.vllm_view import Fact, FactName, VllmView

_VERSION = re.compile(r"\bvllm (\d[0-9A-Za-z.+]*)")
_CACHE_TOLERANCE = 0.1
"""How much smaller than planned a KV cache may be: its planned size is a prediction."""
_UNQUANTISED = {Precision.FP32: "float32", Precision.FP16: "float16", Precision.BF16: "bfloat16"}
_BUNDLE_FOLDERS = ("model", "models")
"""Last part of where a bundle's own checkpoint lies: in the bundle, and as KServe mounts it."""
_HOW_TO_SEE = "start the server with VLLM_SERVER_DEV_MODE=1 to see it (never where strangers reach it)"


def deployment_items(entry: LockEntry, served_name: str, view: VllmView, window: Window) -> tuple[DriftItem, ...]:
    """Every fact of the lock, with what the server shows of it, in a fixed order."""
    return (
        _version(entry, view),
        _served_model(served_name, view),
        *_model(entry, view),
        *_limits(entry, view, window),
        *_memory(entry, view),
        *_parallelism(entry, view),
    )


def _version(entry: LockEntry, view: VllmView) -> DriftItem:
    """The version, what a build adds to it left out (`0.32.0+cpu` is `0.32.0`)."""
    locked = _VERSION.search(entry.inputs.toolchain)
    expected = locked[1].partition("+")[0] if locked else None
    fact = view.facts.get("version")
    observed = None if fact is None else str(fact.value).partition("+")[0]
    if expected is None:
        return _item("version", "vLLM", "not locked", observed, fact, view, is_same=False)
    return _item("version", "vLLM", expected, observed, fact, view, is_same=observed == expected)


def _served_model(served_name: str, view: VllmView) -> DriftItem:
    """Any of the names that the server answers to will do."""
    fact = view.facts.get("served-model")
    names = ", ".join(view.served_models) or None
    return _item(
        "served-model", "served model", served_name, names, fact, view, is_same=served_name in view.served_models
    )


def _model(entry: LockEntry, view: VllmView) -> Iterator[DriftItem]:
    root = view.facts.get("model-root")
    shown = None if root is None else str(root.value)
    if entry.engine.file is None:  # the server fetches a repository
        repo = entry.choice.model or ""
        yield _item("model", "model", repo, shown, root, view, is_same=shown == repo)
        if entry.choice.revision is not None:
            fact = view.facts.get("revision")
            seen = None if fact is None else str(fact.value)
            is_same = seen == entry.choice.revision
            yield _item("revision", "revision", entry.choice.revision, seen, fact, view, is_same=is_same)
    else:
        folder = (shown or "").rstrip("/").rpartition("/")[2]
        expected = f"{entry.engine.file} (the bundle's)"
        yield _item("model", "model", expected, shown, root, view, is_same=folder in _BUNDLE_FOLDERS)
    key = (entry.engine.key or "not built")[:19]
    yield deployment_item(
        "weights", "weights", key, None, None, why_silent="no server shows a digest of what it loaded"
    )
    yield _quantization(entry, view)


def _quantization(entry: LockEntry, view: VllmView) -> DriftItem:
    fact, kind = view.facts.get("quantization"), view.facts.get("dtype")
    seen = None if fact is None else str(fact.value)
    plain = _UNQUANTISED.get(entry.choice.precision)
    if plain is None:
        is_same = seen not in (None, "none")
    else:
        is_same = seen == "none" and (kind is None or str(kind.value).endswith(plain))
        if seen == "none" and kind is not None:
            seen = str(kind.value).removeprefix("torch.")
    return _item("precision", "weight precision", entry.choice.precision.value, seen, fact, view, is_same=is_same)


def _limits(entry: LockEntry, view: VllmView, window: Window) -> Iterator[DriftItem]:
    choice = entry.choice
    if choice.max_model_len:
        yield _equal("max-model-len", choice.max_model_len, view)
    if choice.max_num_seqs is not None:
        yield _equal("max-num-seqs", choice.max_num_seqs, view, at_least=max(window.running, default=0.0))
    if choice.max_num_batched_tokens is not None:
        yield _equal("max-num-batched-tokens", choice.max_num_batched_tokens, view, at_least=_longest_step(window))
    if choice.long_prefill_tokens is not None:
        yield _equal("long-prefill-token-threshold", choice.long_prefill_tokens, view)
    if choice.chunked_prefill is not None:
        yield _equal("chunked-prefill", choice.chunked_prefill, view)
    if choice.prefix_caching is not None:
        yield _equal("prefix-caching", choice.prefix_caching, view)
    yield _equal("speculation", choice.speculation.method if choice.speculation else "none", view)


def _longest_step(window: Window) -> float:
    """Tokens that the longest step since the server's start had more than: the limit is not lower."""
    steps = window.last.histogram("vllm:iteration_tokens_total")
    return steps.rank_bounds(int(steps.count))[0] if steps is not None and steps.count else 0.0


def _memory(entry: LockEntry, view: VllmView) -> Iterator[DriftItem]:
    choice = entry.choice
    fact = view.facts.get("kv-cache-dtype")
    seen = None if fact is None else str(fact.value)
    wanted = "auto" if choice.kv_precision is None else choice.kv_precision.value
    is_same = seen is not None and (
        seen in ("auto", "bfloat16", "float16") if wanted == "auto" else _is_kind(seen, wanted)
    )
    yield _item("kv-cache-dtype", "KV cache precision", wanted, seen, fact, view, is_same=is_same)
    if choice.gpu_memory_utilization is not None:
        yield _equal("gpu-memory-utilization", choice.gpu_memory_utilization, view)
    if choice.kv_cache_memory_bytes is not None:
        yield _equal("kv-cache-memory-bytes", choice.kv_cache_memory_bytes, view)
    planned = entry.predicted.kv_cache_tokens
    if planned is not None:
        fact = view.facts.get("kv-cache-tokens")
        tokens = None if fact is None else int(fact.value)
        enough = tokens is not None and tokens >= planned * (1 - _CACHE_TOLERANCE)
        note = "" if enough or tokens is None else "fewer requests fit than planned"
        yield _item(
            "kv-cache-tokens", "KV cache", planned, tokens, fact, view, is_same=enough, unit="tokens", note=note
        )


def _parallelism(entry: LockEntry, view: VllmView) -> Iterator[DriftItem]:
    yield _equal("tensor-parallel-size", entry.choice.tensor_parallel, view)
    yield _equal("pipeline-parallel-size", entry.choice.pipeline_parallel, view)


def _equal(name: FactName, expected: str | int | float | bool, view: VllmView, *, at_least: float = 0.0) -> DriftItem:
    """A limit that must be what was locked.

    Where the server does not say it, having been seen to go over the locked one (`at_least`) is enough to know.
    """
    fact = view.facts.get(name)
    if fact is None and isinstance(expected, int) and at_least > expected:
        return deployment_item(name, name, expected, f"over {at_least:g}", is_same=False, source="/metrics")
    value: DriftCell = None if fact is None else fact.value
    is_same = value is not None and _agree(expected, value)
    return _item(name, name, expected, value, fact, view, is_same=is_same)


def _agree(expected: str | int | float | bool, seen: str | int | float | bool) -> bool:
    if isinstance(expected, float) and isinstance(seen, int | float):
        return abs(expected - seen) < 5e-4
    return expected == seen and isinstance(expected, bool) == isinstance(seen, bool)


def _is_kind(dtype: str, precision: str) -> bool:
    """Whether a dtype of the cache is of a precision: `fp8_e4m3` is fp8.

    >>> _is_kind("fp8_e4m3", "fp8"), _is_kind("fp8", "int8")
    (True, False)
    """
    return dtype == precision or dtype.startswith(f"{precision}_")


def _item(
    id: FactName | str,
    name: str,
    expected: DriftCell,
    observed: DriftCell,
    fact: Fact | None,
    view: VllmView,
    *,
    is_same: bool,
    unit: str = "",
    note: str = "",
) -> DriftItem:
    """The item, not visible where the server shows nothing of it."""
    if observed is None or fact is None:
        return deployment_item(id, name, expected, None, None, unit=unit, why_silent=_why_silent(id, view))
    return deployment_item(id, name, expected, observed, is_same, source=fact.source, unit=unit, note=note)


_PLACES = {"version": "/version", "served-model": "/v1/models", "model": "/v1/models", "max-model-len": "/v1/models"}


def _why_silent(id: str, view: VllmView) -> str:
    place = _PLACES.get(id, "/server_info")
    reason = view.silent.get(place)
    if place == "/server_info" and reason == "HTTP 404":
        return _HOW_TO_SEE
    return f"{place}: {reason}" if reason else f"{place} does not show it"
