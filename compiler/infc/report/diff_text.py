"""Differences between two locks as text: one block a deployment, old -> new of what a reviewer asks for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import click

from infc.lock.diff import EntryDiff, FieldChange
from infc.lock.values import Cell, ChangeKind, LockEntry
from infc.report.diagnostics_text import printable
from infc.report.layout import inert

Style: TypeAlias = Callable[[str, str], str]
SYMBOLS: Mapping[ChangeKind, tuple[str, str]] = {
    "added": ("+", "green"),
    "changed": ("~", "yellow"),
    "rebuilt": ("±", "yellow"),
    "removed": ("-", "red"),
    "unchanged": ("=", "dim"),
}
_WORDS: Mapping[ChangeKind, str] = {
    "added": "added",
    "changed": "changed in place",
    "rebuilt": "rebuilt",
    "removed": "removed",
    "unchanged": "unchanged",
}
_NAMES: Mapping[str, str] = {
    "spec": "spec",
    "choice.server": "server",
    "choice.hardware": "hardware",
    "choice.power_mode": "power mode",
    "choice.precision": "precision",
    "choice.tensor_parallel": "tensor parallel",
    "choice.instances_per_gpu": "instances",
    "choice.max_batch_size": "max batch",
    "choice.max_queue_delay_us": "queue delay",
    "choice.preferred_batch_sizes": "preferred",
    "choice.prefetch": "prefetch",
    "choice.replicas": "replicas",
    "choice.max_num_seqs": "sequences",
    "choice.max_num_batched_tokens": "tokens a step",
    "choice.pipeline_parallel": "pipeline parallel",
    "choice.max_model_len": "longest request",
    "choice.kv_precision": "KV precision",
    "choice.gpu_memory_utilization": "memory share",
    "choice.kv_cache_memory_bytes": "KV cache bytes",
    "choice.prefix_caching": "prefix caching",
    "choice.chunked_prefill": "chunked prefill",
    "choice.long_prefill_tokens": "of one prompt",
    "choice.model": "model",
    "choice.revision": "revision",
    "choice.model_name": "model name",
    "choice.dla_core": "DLA core",
    "choice.speculation.method": "drafted by",
    "choice.speculation.tokens": "drafted tokens",
    "choice.speculation.acceptance": "acceptance",
    "choice.speculation.model": "drafter",
    "predicted.utilization": "utilization",
    "predicted.throughput_rps": "throughput",
    "predicted.memory_gib": "memory",
    "predicted.power_w": "power",
    "predicted.usd_per_month": "cost",
    "predicted.basis": "basis",
    "predicted.output_tokens_per_s": "generated",
    "predicted.kv_cache_tokens": "KV cache",
    "accuracy.value": "accuracy",
    "accuracy.drop": "accuracy drop",
    "accuracy.samples": "samples",
    "accuracy.raised": "raised back",
    "accuracy.worst_slice": "worst slice",
    "accuracy.worst_slice_drop": "its drop",
    "accuracy.verdict": "verdict",
    "engine.kind": "engine kind",
    "engine.key": "engine",
    "engine.pending": "engine pending",
    "release.version": "release",
    "release.content": "content",
}
_HIDDEN = {
    "predicted.usd_per_hour",
    "predicted.usd_per_million_requests",
    "predicted.usd_per_million_tokens",
    "predicted.mean_ms",
    "predicted.ttft_mean_ms",
    "predicted.tpot_mean_ms",
    "engine.inputs",
}
_SHORT = 12
_LABEL = 16


def render_diff_text(diffs: Sequence[EntryDiff], *, color: bool = False) -> str:
    """Every deployment that differs, then the counts and the change of the monthly cost."""
    style = _colored if color else _plain
    blocks = ["\n".join(_block(diff, style)) for diff in diffs if diff.kind != "unchanged"]
    return "\n".join([*blocks, _summary(diffs)])


def _block(diff: EntryDiff, style: Style) -> Iterator[str]:
    symbol, hue = SYMBOLS[diff.kind]
    known = diff.new or diff.old
    assert known is not None  # noqa: S101 - a diff has at least one side
    yield f"{style(hue, symbol)} {style('bold', diff.label)}  {style('dim', known.spec)}"
    if diff.inputs:
        yield _row("inputs", ", ".join(change.name for change in diff.inputs))
    if diff.old is None or diff.new is None:
        yield from _whole(known)
        return
    for change in diff.fields:
        if change.path not in _HIDDEN:
            yield _row(_name(change.path), f"{_shown(change.path, change.old)} -> {_shown(change.path, change.new)}")
    if diff.files:
        actions = [change.action for change in diff.files]
        counted = [f"{actions.count(action)} {action}" for action in dict.fromkeys(sorted(actions))]
        yield _row("files", ", ".join(counted))


def _whole(entry: LockEntry) -> Iterator[str]:
    """A deployment that is new or gone, in a few lines."""
    choice, predicted = entry.choice, entry.predicted
    batch = f", batch {choice.max_batch_size}" if choice.max_batch_size else ""
    batch += f", {choice.max_num_seqs} sequences" if choice.max_num_seqs else ""
    replicas = f"{choice.replicas} replica{'s' if choice.replicas != 1 else ''}"
    yield _row("choice", f"{choice.precision.value} on {choice.hardware}{batch}, {replicas}")
    if entry.release is not None:
        yield _row("release", entry.release.version)
    if choice.model is not None:
        yield _row("model", choice.model + (f" at {choice.revision}" if choice.revision else ""))
    # Of a language model it is the tokens that are promised, mostly.
    promised = {"ttft ": predicted.ttft_ms, "tpot ": predicted.tpot_ms} if predicted.ttft_ms else {}
    for prefix, values_ms in (promised or {"": predicted.latency_ms}).items():
        tails = [label for label in values_ms if label != "mean"]
        if tails:
            label = max(tails, key=lambda name: float(name.removeprefix("p")))
            yield _row(prefix + label, f"{values_ms[label]:g} ms, {predicted.basis.value}")
    if predicted.usd_per_month is not None:
        yield _row("cost", _shown("predicted.usd_per_month", predicted.usd_per_month))


def _summary(diffs: Sequence[EntryDiff]) -> str:
    kinds = [diff.kind for diff in diffs]
    counts = ", ".join(f"{kinds.count(kind)} {_WORDS[kind]}" for kind in SYMBOLS if kind in kinds)
    lines = [f"Diff: {counts or 'no deployments'}."]
    before, after = sum(_month(diff.old) for diff in diffs), sum(_month(diff.new) for diff in diffs)
    if round(before, 2) != round(after, 2):
        sign = "+" if after > before else "-"
        lines.append(f"Cost: ${before:,.2f} -> ${after:,.2f} a month ({sign}${abs(after - before):,.2f}).")
    return "\n".join(lines)


def _month(entry: LockEntry | None) -> float:
    return (entry.predicted.usd_per_month or 0.0) if entry else 0.0


def _row(name: str, text: str) -> str:
    return inert(f"    {printable(name):<{_LABEL}} {printable(text)}")


def _name(path: str) -> str:
    if path in _NAMES:
        return _NAMES[path]
    last = path.partition(".")[2]
    return last.removesuffix("_ms").removeprefix("toolchain.").replace("_", " ")


def _shown(path: str, value: Cell) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(str, value)) or "none"
        case str():
            is_digest = path in ("engine.key", "release.content")
            return value.removeprefix("sha256:")[:_SHORT] if is_digest else value
    if path == "predicted.usd_per_month":
        return f"${value:,.2f}/month"
    if path == "predicted.kv_cache_tokens":
        return f"{value:,} tokens"
    unit = {"tokens_per_s": " tokens/s", "_ms": " ms", "_us": " us", "_rps": "/s", "_gib": " GiB", "_w": " W"}
    return f"{value:g}" + next((text for suffix, text in unit.items() if path.endswith(suffix)), "")


def _plain(_hue: str, text: str) -> str:
    return text


def _colored(hue: str, text: str) -> str:
    if hue in ("bold", "dim"):
        return click.style(text, bold=hue == "bold", dim=hue == "dim")
    return click.style(text, fg=hue)


def change_rows(diff: EntryDiff) -> tuple[Mapping[str, str], ...]:
    """The changes of one deployment as rows of text (`path`, `old`, `new`), inputs first; none when it is unchanged."""
    if diff.kind in ("added", "removed"):
        states = ("not locked", "locked") if diff.kind == "added" else ("locked", "not planned any more")
        return ({"path": "entry", "old": states[0], "new": states[1]},)
    rows = [{"path": f"input {c.name}", "old": _brief(c.old), "new": _brief(c.new)} for c in diff.inputs]
    rows += [_row_of(change) for change in diff.fields if change.path not in _HIDDEN]
    return tuple(rows)


def _row_of(change: FieldChange) -> dict[str, str]:
    return {"path": change.path, "old": _shown(change.path, change.old), "new": _shown(change.path, change.new)}


def _brief(value: str | None) -> str:
    if value is None or not value:
        return "none"
    return value[: len("sha256:") + _SHORT] if value.startswith("sha256:") else value
