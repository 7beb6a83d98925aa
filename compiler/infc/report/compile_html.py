"""A compile as one self-contained HTML page: pictures of its plans, what was built and measured, layers folded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from infc.ir.engine import Engine
from infc.report.compile_text import compile_facts
from infc.report.compiled import CompiledEntry
from infc.report.engine_layers import engine_layers_html
from infc.report.load_test import STATES
from infc.report.page import render_page
from infc.report.pictures.latency import MEASURED_LATENCY
from infc.report.plan_section import Notice, Section, plan_section
from infc.report.planned import PlannedEntry

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class BundlePart:
    """One bundle as the page shows it. `state` is ok, missed, or uncertain where something is pending or unsettled.

    `slot` names the place where a load test is put in later, and `unmeasured` says so there until then; both are empty
    on a page that nobody renews.
    """

    section: Section
    state: str
    verdict: str
    folder: str
    measured: tuple[Notice, ...]
    built: tuple[tuple[str, tuple[str, ...]], ...]
    layers: "Markup"
    slot: str
    unmeasured: str


def render_compile_html(entries: Sequence[CompiledEntry]) -> str:
    """The page for all bundles, in their order. What a plan's page shows is here too: a second or so a bundle."""
    return _page(entries, has_slots=False)


def render_bundle_report(entries: Sequence[CompiledEntry]) -> str:
    """The page of one output folder, without a measurement: `with_load_test` puts it in. Same values, same bytes."""
    return _page(entries, has_slots=True)


def _page(entries: Sequence[CompiledEntry], *, has_slots: bool) -> str:
    bundles = [_bundle(entry, f"b{index}", has_slot=has_slots) for index, entry in enumerate(entries)]
    title = f"Compile of {bundles[0].section.title}" if len(bundles) == 1 else f"Compile of {len(bundles)} bundles"
    return render_page("compile.html.j2", bundles=bundles, title=title)


def _bundle(entry: CompiledEntry, anchor: str, *, has_slot: bool) -> BundlePart:
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
        state, verdict = STATES[measurement.verdict], f"{judged} {measurement.verdict.value}"
    layers = engine_layers_html(entry.engine.facts) if isinstance(entry.engine, Engine) else ""
    section = plan_section(planned, anchor, measurement=measurement, evidence=entry.evidence, is_compiled=True)
    unmeasured = next((each.sentence for each in section.absent if each.title == MEASURED_LATENCY), "")
    if has_slot:
        section = replace(section, absent=tuple(each for each in section.absent if each.title != MEASURED_LATENCY))
    return BundlePart(
        section=section,
        state=state,
        verdict=verdict,
        folder=entry.folder,
        measured=tuple(_measured(entry)),
        built=tuple(_built(entry)),
        layers=Markup(layers),  # noqa: S704 - made of escaped texts
        slot=entry.plan.candidate.hardware_id if has_slot else "",
        unmeasured=unmeasured if has_slot else "",
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
        state=STATES[measurement.verdict],
        words=f"{kind}: {measurement.verdict.value}, {measurement.requests:,} requests in"
        f" {measurement.duration_s:.0f} s at {measurement.offered_rps:.4g}/s, {measurement.errors} failed",
    )
    for note in measurement.notes:
        yield Notice(state="uncertain", words=note)
