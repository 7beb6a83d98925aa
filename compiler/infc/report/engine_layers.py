"""The layers of a built engine: what ran in which precision, what was fused, what fell back."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from infc.build.far.precision import POINTWISE_KINDS
from infc.ir.engine import EngineFacts, EngineLayer

NARROW = ("Int8", "FP8", "FP4")
WIDE = "Float"


@dataclass(frozen=True, kw_only=True)
class LayersSummary:
    """An engine's layers in numbers.

    `operators` are the model's operators that the layers name, each counted once; `read` counts layers by the types
    they read, most frequent first. `widening` are the layers that compute in eight bits or fewer and write FP32.
    """

    layers: int
    operators: int
    read: tuple[tuple[str, int], ...]
    widening: tuple[EngineLayer, ...]
    fallbacks: tuple[str, ...]


def layers_summary(facts: EngineFacts) -> LayersSummary:
    """The summary of an engine; a builder that names no layers gives zeros."""
    read = Counter(layer.input_dtype for layer in facts.layers if layer.input_dtype)
    return LayersSummary(
        layers=len(facts.layers),
        operators=len({operator for layer in facts.layers for operator in layer.operators}),
        read=tuple(read.most_common()),
        widening=tuple(layer for layer in facts.layers if _is_widening(layer)),
        fallbacks=facts.fallbacks,
    )


def layers_sentences(facts: EngineFacts) -> Iterator[str]:
    """What a reader of a compile should know of the layers; nothing where the builder names none."""
    summary = layers_summary(facts)
    if not summary.layers:
        return
    fused = f" for {summary.operators} operators of the model" if summary.operators else ""
    types = [f"{count} read {name}" for name, count in summary.read[:4]]
    if not types:
        written = Counter(layer.dtype for layer in facts.layers if layer.dtype)
        types = [f"{count} {name}" for name, count in written.most_common(4)]
    yield f"{summary.layers} layers{fused}" + (f": {', '.join(types)}" if types else "")
    if summary.widening:
        narrow = "+".join(sorted({name for layer in summary.widening for name in _types(layer.input_dtype)}))
        count = len(summary.widening)
        verbs = "layer computes in {} and writes" if count == 1 else "layers compute in {} and write"
        yield f"{count} {verbs.format(narrow)} Float: results take four bytes a value until the next layer narrows them"
    if summary.fallbacks:
        shown = "; ".join(summary.fallbacks[:3]) + ("; ..." if len(summary.fallbacks) > 3 else "")
        count = len(summary.fallbacks)
        yield f"{count} {'operator' if count == 1 else 'operators'} fell back: {shown}"


def engine_layers_html(facts: EngineFacts) -> str:
    """The layers as a folded table: the sentences, then one row for each layer. Safe to put into a page."""
    sentences = list(layers_sentences(facts))
    if not sentences:
        return ""
    head, *rest = sentences
    notes = "".join(f"<p>{escape(sentence)}</p>" for sentence in rest)
    rows = "".join(_row_html(layer) for layer in facts.layers)
    return (
        f'<details class="engine-layers"><summary>{escape(head)}</summary>{notes}'
        '<div class="scroll" role="group" aria-label="Layers of the engine" tabindex="0"><table><thead><tr>'
        '<th scope="col">Operators of the model</th><th scope="col">Kind</th><th scope="col">Reads</th>'
        f'<th scope="col">Writes</th></tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def _row_html(layer: EngineLayer) -> str:
    names = ", ".join(layer.operators) or layer.name
    cells = (names, layer.kind, layer.input_dtype, layer.dtype)
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _is_widening(layer: EngineLayer) -> bool:
    reads = set(_types(layer.input_dtype))
    return bool(reads) and reads <= {*NARROW} and layer.dtype == WIDE and layer.kind not in POINTWISE_KINDS


def _types(joined: str) -> list[str]:
    return [name for name in joined.split("+") if name]
