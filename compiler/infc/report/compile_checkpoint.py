"""What a compile says of a language model: its checkpoint, the files of its bundle and the limits they set."""

from collections import Counter
from collections.abc import Iterator

from infc.ir.candidate import ContinuousBatching, Speculation
from infc.ir.checkpoint import Checkpoint
from infc.plan.words import counted
from infc.report.compiled import CompiledEntry
from infc.report.json_values import Json

SHORT_DIGEST = 12


def checkpoint_facts(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """Where the model comes from, and what was quantised."""
    yield "checkpoint", _origin(checkpoint)
    if checkpoint.recipe_digest:
        yield "quantised", _quantised(checkpoint)
        for report in checkpoint.passes:
            for note in report.notes:
                yield "", f"{report.name}: {note}"
    elif checkpoint.quantization is not None:
        yield "quantised", f"by the server when it loads ({checkpoint.quantization})"


def bundle_facts(entry: CompiledEntry) -> Iterator[tuple[str, str]]:
    """The files of the bundle by folder, and the limits that they set."""
    folders = Counter(path.partition("/")[0] + "/" for path in entry.files if "/" in path)
    parts = [path for path in entry.files if "/" not in path]
    parts += [f"{folder} ({counted(count, 'file')})" for folder, count in sorted(folders.items())]
    if parts:
        yield "bundle", ", ".join(parts)
    batching = entry.plan.candidate.batching
    if isinstance(batching, ContinuousBatching):
        yield "limits", ", ".join(_limits(entry, batching))


def checkpoint_json(checkpoint: Checkpoint) -> Json:
    """The checkpoint as the server finds it."""
    return {
        "folder": None if checkpoint.folder is None else "model",
        "repo": checkpoint.repo,
        "revision": checkpoint.revision,
        "pending": checkpoint.is_pending,
        "quantization": checkpoint.quantization,
        "files": dict(sorted(checkpoint.files.items())) if checkpoint.folder is not None else {},
        "toolchain": dict(sorted(checkpoint.toolchain.items())),
    }


def _origin(checkpoint: Checkpoint) -> str:
    if checkpoint.folder is None:
        pinned = f"revision {checkpoint.revision}" if checkpoint.revision else "its main branch, not pinned"
        return f"{checkpoint.repo}, {pinned}, fetched by the server when it starts"
    held = counted(len(checkpoint.files), "file")
    weights = "" if checkpoint.has_weights else ", without weights: the server does not start before they are there"
    return f"{checkpoint.precision.value}, {held}, digest {checkpoint.digest[:SHORT_DIGEST]}{weights}"


def _quantised(checkpoint: Checkpoint) -> str:
    steps = ", ".join(f"{report.name} ({report.changed})" for report in checkpoint.passes)
    tools = ", ".join(f"{name} {version}" for name, version in sorted(checkpoint.toolchain.items()))
    return f"to {checkpoint.precision.value} by {steps}" + (f"; {tools}" if tools else "")


def _limits(entry: CompiledEntry, batching: ContinuousBatching) -> Iterator[str]:
    yield counted(batching.max_num_seqs, "sequence")
    yield f"{batching.max_num_batched_tokens} tokens a step"
    if batching.max_model_len:
        yield f"requests of up to {batching.max_model_len} tokens"
    tokens = entry.plan.estimate.tokens
    if tokens is not None:
        told = batching.kv_cache_memory_bytes
        yield f"KV cache for {tokens.kv_cache_tokens:,} tokens" + (f" ({told / 2**20:.4g} MiB)" if told else "")
    if batching.gpu_memory_utilization is not None:
        yield f"{batching.gpu_memory_utilization:.0%} of the device's memory"
    if batching.long_prefill_tokens:
        yield f"at most {batching.long_prefill_tokens} tokens of one prompt a step"
    if not batching.has_chunked_prefill:
        yield "prompts in one piece"
    yield "prefix caching" if batching.has_prefix_caching else "no prefix caching"
    if batching.speculation is not None:
        yield _speculation(batching.speculation)


def _speculation(speculation: Speculation) -> str:
    return f"{counted(speculation.tokens, 'token')} drafted a step by {speculation.model or speculation.method}"
