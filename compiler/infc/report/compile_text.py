"""A compile as text: what was built and where it lies, one block per bundle."""

from collections.abc import Iterable, Iterator

from infc.ir.checkpoint import Checkpoint
from infc.ir.edge_release import EdgeRelease
from infc.ir.engine import AnyEngine, DeviceEngine, Engine, LoweredModel, PendingEngine
from infc.plan.words import duration_text
from infc.report.accuracy_text import accuracy_rows
from infc.report.compile_checkpoint import bundle_rows, checkpoint_rows
from infc.report.compiled import CompiledEntry, archives_of
from infc.report.engine_layers import layers_sentences
from infc.report.layout import Style, row, style_for, unwrapped, wrapped_row
from infc.report.plan_text import headline
from infc.report.plan_tokens import latency_rows

_MEBIBYTE = 2.0**20
_WAITS = {"engine": "compiled, its engine is pending", "weights": "compiled, its weights are pending"}


def render_compile_text(entry: CompiledEntry, *, color: bool) -> str:
    """The block of one bundle."""
    return "\n".join(_block(entry, style_for(color=color)))


def _block(entry: CompiledEntry, style: Style) -> Iterator[str]:
    title = style("bold", entry.plan.name) + (f" for {style('bold', entry.target)}" if entry.target else "")
    done = style("yellow", _WAITS[entry.pending]) if entry.pending else style("green", "compiled")
    yield f"{title}: {done}  {style('dim', entry.folder)}"
    yield ""
    yield from _rows(entry, style)


def compile_facts(entry: CompiledEntry) -> list[tuple[str, str]]:
    """The rows of the block as pairs of a name and a sentence; the name is empty where it goes on."""
    return unwrapped(_rows(entry, style_for(color=False)))


def _rows(entry: CompiledEntry, style: Style) -> Iterator[str]:
    yield from wrapped_row("plan", headline(entry.plan.candidate), style)
    if isinstance(entry.lowered, Checkpoint):
        yield from checkpoint_rows(entry.lowered, style)
    else:
        yield from wrapped_row("lowered", _lowered_words(entry.lowered), style)
    if entry.evidence is not None:
        yield from accuracy_rows(entry.evidence, style)
    if entry.engine is not None:
        yield from wrapped_row("engine", _engine_words(entry.engine), style)
        for index, sentence in enumerate(_layers(entry.engine)):
            yield from wrapped_row("" if index else "layers", sentence, style)
    else:
        yield from bundle_rows(entry, style)
    if entry.release is not None:
        yield from wrapped_row("release", _release_words(entry, entry.release), style)
    yield from wrapped_row("predicted", _predicted_words(entry), style)
    yield row("infc.lock", entry.change, style)


def _lowered_words(lowered: LoweredModel) -> str:
    steps = [f"{report.name} ({report.changed})" for report in lowered.passes]
    return f"{lowered.precision.value} by {', '.join(steps)}"


def _layers(engine: AnyEngine) -> Iterable[str]:
    return layers_sentences(engine.facts) if isinstance(engine, Engine) else ()


def _engine_words(engine: AnyEngine) -> str:
    if isinstance(engine, DeviceEngine):
        return f"{engine.kind}, key {engine.key[:12]}, built on the device"
    if isinstance(engine, PendingEngine):
        return f"pending: {engine.kind}, key {engine.key[:12]}; {engine.reason}"
    facts = engine.facts
    tools = ", ".join(f"{name} {version}" for name, version in sorted(facts.toolchain.items()))
    parts = [f"{engine.kind}, {engine.size_bytes / _MEBIBYTE:.2f} MiB, key {engine.key[:12]}, {tools}"]
    if facts.activation_bytes is not None:
        parts.append(f"activations {facts.activation_bytes / _MEBIBYTE:.2f} MiB")
    return "; ".join(parts)


def _release_words(entry: CompiledEntry, release: EdgeRelease) -> str:
    modules = ", ".join(target.title for target in release.targets)
    return f"{release.version} for {modules}: {', '.join(archives_of(entry))}; devices take it signed (infc sign)"


def _predicted_words(entry: CompiledEntry) -> str:
    cells = [
        f"{latency.label} {duration_text(latency.value.value)} (SLO {duration_text(latency.limit_s)})"
        for latency in latency_rows(entry.problem, entry.plan.estimate, only_promised=True)
        if latency.limit_s is not None
    ]
    return f"{', '.join(cells)}; {entry.plan.estimate.basis.value}"
