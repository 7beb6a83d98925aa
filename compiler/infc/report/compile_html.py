"""A compile as one self-contained HTML page: pictures of its plans, what was built and measured, layers folded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infc.ir.accuracy import Verdict
from infc.ir.engine import Engine
from infc.report.compile_text import compile_facts
from infc.report.compiled import CompiledEntry
from infc.report.engine_layers import engine_layers_html
from infc.report.page import render_page
from infc.report.plan_section import Notice, Section, plan_section
from infc.report.planned import PlannedEntry

if TYPE_CHECKING:
    from markupsafe import Markup

_STATES = {Verdict.PASS: "ok", Verdict.FAIL: "missed", Verdict.INCONCLUSIVE: "uncertain"}


@dataclass(frozen=True, kw_only=True)
class BundlePart:
    """One bundle as the page shows it. `state` is ok, missed, or uncertain where something is pending or unsettled."""

    section: Section
    state: str
    verdict: str
    folder: str
    measured: tuple[Notice, ...]
    built: tuple[tuple[str, tuple[str, ...]], ...]
    layers: "Markup"


def render_compile_html(entries: Sequence[CompiledEntry]) -> str:
    """The page for all bundles, in their order. What a plan's page shows is here too: a second or so a bundle."""
    bundles = [_bundle(entry, f"b{index}") for index, entry in enumerate(entries)]
    title = f"Compile of {bundles[0].section.title}" if len(bundles) == 1 else f"Compile of {len(bundles)} bundles"
    return render_page("compile.html.j2", bundles=bundles, title=title)


def _bundle(entry: CompiledEntry, anchor: str) -> BundlePart:
    from markupsafe import Markup

    planned = PlannedEntry(
        name=entry.plan.name,
        path=entry.path,
        target=entry.target,
        status="feasible",
        problem=entry.problem,
        decision=entry.plan,
        changes=(),
        diagnostics=(),
    )
    measurement = entry.measurement
    state, verdict = ("uncertain", f"{entry.pending} pending") if entry.pending else ("ok", "compiled")
    if measurement is not None:
        judged = "rehearsal" if measurement.is_rehearsal else "SLO"
        state, verdict = _STATES[measurement.verdict], f"{judged} {measurement.verdict.value}"
    layers = engine_layers_html(entry.engine.facts) if isinstance(entry.engine, Engine) else ""
    return BundlePart(
        section=plan_section(planned, anchor, measurement=measurement, evidence=entry.evidence, is_compiled=True),
        state=state,
        verdict=verdict,
        folder=entry.folder,
        measured=tuple(_measured(entry)),
        built=tuple(_built(entry)),
        layers=Markup(layers),  # noqa: S704 - made of escaped texts
    )


def _built(entry: CompiledEntry) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names with all their sentences."""
    name, sentences = "", list[str]()
    for following, words in compile_facts(entry):
        if following and sentences:
            yield name, tuple(sentences)
            sentences = []
        name, sentences = following or name, [*sentences, words]
    yield name, tuple(sentences)


def _measured(entry: CompiledEntry) -> Iterator[Notice]:
    """What the load test says of the whole bundle."""
    measurement = entry.measurement
    if measurement is None:
        return
    kind = "rehearsal without an accelerator" if measurement.is_rehearsal else "load test on the real server"
    yield Notice(
        state=_STATES[measurement.verdict],
        words=f"{kind}: {measurement.verdict.value}, {measurement.requests:,} requests in"
        f" {measurement.duration_s:.0f} s at {measurement.offered_rps:.4g}/s, {measurement.errors} failed",
    )
    for note in measurement.notes:
        yield Notice(state="uncertain", words=note)
