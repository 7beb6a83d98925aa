"""A compile as text: what was built and where it lies, one block per bundle."""

from collections.abc import Iterable, Iterator

from infc.ir.checkpoint import Checkpoint
from infc.ir.edge_release import EdgeRelease
from infc.ir.engine import AnyEngine, DeviceEngine, Engine, LoweredModel, PendingEngine
from infc.plan.words import duration_text
from infc.report.accuracy_text import accuracy_facts, verdict_styled
from infc.report.compile_checkpoint import bundle_facts, checkpoint_facts
from infc.report.compiled import CompiledEntry, archives_of
from infc.report.engine_layers import layers_sentences
from infc.report.layout import Style, style_for, wrapped_row
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
    for name, words in compile_facts(entry):
        styled = words
        if name == "accuracy" and entry.evidence is not None:
            styled = verdict_styled(words, entry.evidence.verdict, style)
        yield from wrapped_row(name, styled, style)


def compile_facts(entry: CompiledEntry) -> Iterator[tuple[str, str]]:
    """What was built, as names with sentences; the name is empty where one goes on under the name before."""
    yield "plan", headline(entry.plan.candidate)
    if isinstance(entry.lowered, Checkpoint):
        yield from checkpoint_facts(entry.lowered)
    else:
        yield "lowered", _lowered_words(entry.lowered)
    if entry.evidence is not None:
        yield from accuracy_facts(entry.evidence)
    if entry.engine is not None:
        yield "engine", _engine_words(entry.engine)
        for index, sentence in enumerate(_layers(entry.engine)):
            yield "" if index else "layers", sentence
    else:
        yield from bundle_facts(entry)
    if entry.release is not None:
        yield "release", _release_words(entry, entry.release)
    yield "predicted", _predicted_words(entry)
    if entry.change is not None:
        yield "infc.lock", entry.change


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
