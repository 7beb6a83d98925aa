"""The lock as TOML text: one key a line, one block an entry, numbers at fixed precision, so that git merges it well."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from infc.ir.candidate import Speculation
from infc.lock.values import VERSION, InputDigests, Lock, LockedChoice, LockedPrediction, LockEntry

Scalar: TypeAlias = str | int | bool | Sequence[str] | Sequence[int]
_HEADER = """\
# What infc decided and built, and from which inputs. Written by `infc compile` and `infc lock`; do not edit.
# After a merge conflict take either side and run `infc lock`.
"""
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Number(str):
    """A float in its final text."""

    __slots__ = ()


def text_from_lock(lock: Lock) -> str:
    """The file's content; same lock, same text."""
    blocks = [f"{_HEADER}version = {VERSION}\n"]
    blocks += ["".join(_block(entry)) for entry in sorted(lock.entries, key=lambda entry: entry.address)]
    return "\n".join(blocks)


def _block(entry: LockEntry) -> Iterator[str]:
    yield "[[artifact]]\n"
    yield from _lines({"name": entry.name, "target": entry.target, "spec": entry.spec, "profile": entry.profile})
    yield from _table("inputs", _inputs(entry.inputs))
    yield from _table("choice", _choice(entry.choice))
    if entry.choice.speculation is not None:
        yield from _table("choice.speculation", _speculation(entry.choice.speculation))
    yield from _table("predicted", _predicted(entry.predicted))
    if entry.accuracy is not None:
        accuracy = entry.accuracy
        yield from _table(
            "accuracy",
            {
                "metric": accuracy.metric,
                "value": fixed(accuracy.value, 5),
                "drop": fixed(accuracy.drop, 5),
                "samples": accuracy.samples,
                "confidence": fixed(accuracy.confidence, 4),
                "subject": accuracy.subject,
                "verdict": accuracy.verdict.value,
                "worst_slice": accuracy.worst_slice,
                "worst_slice_drop": fixed(accuracy.worst_slice_drop, 5),
            },
        )
        if accuracy.raised:
            raised = {name: fixed(share, 4) for name, share in sorted(accuracy.raised.items())}
            yield from _table("accuracy.raised", raised)
    engine = entry.engine
    yield from _table(
        "engine",
        {
            "kind": engine.kind,
            "inputs": engine.inputs,
            "key": engine.key,
            "file": engine.file,
            "pending": engine.is_pending,
        },
    )
    if engine.toolchain:
        yield from _table("engine.toolchain", dict(sorted(engine.toolchain.items())))
    if entry.release is not None:
        release = entry.release
        values = {"version": release.version, "content": release.content, "repeats": release.repeats}
        yield from _table("release", values)
    if entry.files:
        yield from _table("files", dict(sorted(entry.files.items())))


def _inputs(inputs: InputDigests) -> dict[str, Scalar | None]:
    return {
        "spec": inputs.spec,
        "build_settings": inputs.build_settings,
        "model": inputs.model,
        "dataset": inputs.dataset,
        "calibration": inputs.calibration,
        "trace": inputs.trace,
        "hardware": inputs.hardware,
        "price": inputs.price,
        "toolchain": inputs.toolchain,
        "profiles": inputs.profiles,
        "catalogue": inputs.catalogue,
        "tokenizer": inputs.tokenizer,
        "weights": inputs.weights,
    }


def _choice(choice: LockedChoice) -> dict[str, Scalar | None]:
    return {
        "server": choice.server,
        "hardware": choice.hardware,
        "power_mode": choice.power_mode,
        "precision": choice.precision.value,
        "tensor_parallel": choice.tensor_parallel,
        "instances_per_gpu": choice.instances_per_gpu,
        "max_batch_size": choice.max_batch_size,
        "max_queue_delay_us": choice.max_queue_delay_us,
        "preferred_batch_sizes": choice.preferred_batch_sizes or None,
        "prefetch": choice.prefetch,
        "max_num_seqs": choice.max_num_seqs,
        "max_num_batched_tokens": choice.max_num_batched_tokens,
        "replicas": choice.replicas,
        "pipeline_parallel": choice.pipeline_parallel if choice.pipeline_parallel > 1 else None,
        "max_model_len": choice.max_model_len,
        "kv_precision": choice.kv_precision.value if choice.kv_precision is not None else None,
        "gpu_memory_utilization": fixed(choice.gpu_memory_utilization, 4),
        "kv_cache_memory_bytes": choice.kv_cache_memory_bytes,
        "prefix_caching": choice.prefix_caching,
        "chunked_prefill": choice.chunked_prefill,
        "long_prefill_tokens": choice.long_prefill_tokens,
        "model": choice.model,
        "revision": choice.revision,
        "model_name": choice.model_name,
        "dla_core": choice.dla_core,
    }


def _speculation(speculation: Speculation) -> dict[str, Scalar | None]:
    return {
        "method": speculation.method,
        "tokens": speculation.tokens,
        "acceptance": fixed(speculation.acceptance, 4),
        "model": speculation.model,
    }


def _predicted(predicted: LockedPrediction) -> dict[str, Scalar | None]:
    return {
        **_latencies("", predicted.latency_ms),
        **_latencies("ttft_", predicted.ttft_ms),
        **_latencies("tpot_", predicted.tpot_ms),
        "utilization": fixed(predicted.utilization, 4),
        "throughput_rps": fixed(predicted.throughput_rps, 1),
        "memory_gib": fixed(predicted.memory_gib, 3),
        "power_w": fixed(predicted.power_w, 1),
        "usd_per_hour": fixed(predicted.usd_per_hour, 4),
        "usd_per_month": fixed(predicted.usd_per_month, 2),
        "usd_per_million_requests": fixed(predicted.usd_per_million_requests, 4),
        "output_tokens_per_s": fixed(predicted.output_tokens_per_s, 1),
        "kv_cache_tokens": predicted.kv_cache_tokens,
        "usd_per_million_tokens": fixed(predicted.usd_per_million_tokens, 4),
        "basis": predicted.basis.value,
    }


def _latencies(prefix: str, values_ms: Mapping[str, float]) -> dict[str, Scalar | None]:
    return {f"{prefix}{label}_ms": fixed(value, 3) for label, value in sorted(values_ms.items(), key=latency_order)}


def latency_order(item: tuple[str, float]) -> tuple[float, str]:
    """The mean first, then percentiles in ascending order."""
    label = item[0].removeprefix("p")
    try:
        return (float(label), item[0])
    except ValueError:
        return (-1.0, item[0])


def fixed(value: float | None, digits: int) -> Number | None:
    """A number with this many decimals; minus zero is zero.

    >>> fixed(6.4, 3), fixed(-0.00001, 3)
    ('6.400', '0.000')
    """
    return None if value is None else Number(f"{round(value, digits) + 0.0:.{digits}f}")


def _table(name: str, values: Mapping[str, Scalar | None]) -> Iterator[str]:
    yield f"\n[artifact.{name}]\n"
    yield from _lines(values)


def _lines(values: Mapping[str, Scalar | None]) -> Iterator[str]:
    for key, value in values.items():
        if value is not None:
            yield f"{_key(key)} = {_value(value)}\n"


def _key(key: str) -> str:
    return key if key and _BARE.issuperset(key) else quoted(key)


def _value(value: Scalar) -> str:
    match value:
        case Number():
            return str(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return quoted(value)
    return "[" + ", ".join(_value(item) for item in value) + "]"


def quoted(text: str) -> str:
    r"""A TOML basic string.

    >>> print(quoted('say "hi"\n'))
    "say \"hi\"\n"
    """
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else f"\\U{ord(c):08X}") for c in text) + '"'
