"""What a load test says, as the part of a bundle's `report.html` that every load test renews."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from infc.ir.accuracy import Verdict
from infc.ir.edge_validation import EdgeValidation
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.report.charts.drawing import Picture
from infc.report.edge_text import acceptance_facts, acceptance_notes, acceptance_rows
from infc.report.layout import style_for
from infc.report.llm_measurement_text import llm_measurement_facts, llm_measurement_notes, llm_percentile_rows
from infc.report.measurement_text import measurement_facts, measurement_notes, percentile_rows
from infc.report.page import render_page
from infc.report.pictures.load_test import load_test_pictures

_PLAIN = style_for(color=False)
STATES = {Verdict.PASS: "ok", Verdict.FAIL: "missed", Verdict.INCONCLUSIVE: "uncertain"}
_SLOT = re.compile(r"(<!-- load test of ([a-z0-9.-]+) -->\n).*?(<!-- end of load test -->)", re.DOTALL)
"""Where a page holds the load test of a deployment on some hardware. What is said in it is escaped: it holds no end."""


@dataclass(frozen=True, kw_only=True)
class LoadTest:
    """One load test as the page shows it. The first of `rows` names the columns."""

    anchor: str
    state: str
    verdict: str
    rows: tuple[tuple[str, ...], ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    pictures: tuple[Picture, ...]


def with_load_test(page: str, measured: Measurement | LlmMeasurement | EdgeValidation) -> str | None:
    """The page with this load test in place of an earlier one; None where the page has no place for it."""
    hardware_id = measured.target.hardware_id if isinstance(measured, EdgeValidation) else None
    slots = [name for _, name, _ in _SLOT.findall(page) if hardware_id in (None, name)]
    if len(slots) != 1:
        return None
    part = render_page("load_test.html.j2", test=_load_test(measured, f"load-{slots[0]}".replace(".", "-")))

    def put(slot: re.Match[str]) -> str:
        return f"{slot[1]}{part}\n{slot[3]}" if slot[2] == slots[0] else slot[0]

    return _SLOT.sub(put, page)


def differ_in_load_tests_only(one: str, other: str) -> bool:
    r"""Whether two pages are of the same compile: but for what load tests put in, they are the same.

    >>> page = "a<!-- load test of l4 -->\n{}<!-- end of load test -->b"
    >>> differ_in_load_tests_only(page.format("none"), page.format("pass"))
    True
    """
    return _SLOT.sub(r"\1\3", one) == _SLOT.sub(r"\1\3", other)


def _load_test(measured: Measurement | LlmMeasurement | EdgeValidation, anchor: str) -> LoadTest:
    match measured:
        case Measurement():
            rows, pictures = percentile_rows(measured), tuple(load_test_pictures(measured))
            facts, notes = measurement_facts(measured), measurement_notes(measured)
        case LlmMeasurement():
            rows, pictures = _named(llm_percentile_rows(measured, _PLAIN)), tuple(load_test_pictures(measured))
            facts, notes = llm_measurement_facts(measured), llm_measurement_notes(measured)
        case EdgeValidation():
            assert measured.acceptance is not None  # noqa: S101 - only what was judged is shown
            rows, pictures = acceptance_rows(measured.acceptance, measured.target, _PLAIN), ()
            facts = acceptance_facts(measured.acceptance, measured.target)
            notes = acceptance_notes(measured.acceptance, measured.target)
        case _:
            assert_never(measured)
    state, verdict = _judged(measured)
    return LoadTest(
        anchor=anchor,
        state=state,
        verdict=verdict,
        rows=tuple(map(tuple, rows)),
        facts=tuple(facts),
        notes=notes,
        pictures=pictures,
    )


def _judged(measured: Measurement | LlmMeasurement | EdgeValidation) -> tuple[str, str]:
    if measured.verdict is None:
        return "uncertain", "not judged"
    is_rehearsal = not isinstance(measured, EdgeValidation) and measured.is_rehearsal
    return STATES[measured.verdict], f"{'rehearsal' if is_rehearsal else 'SLO'} {measured.verdict.value}"


def _named(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows with the metric and the percentile in one cell; rows of the same metric name it once."""
    (metric, unit, *columns), *others = rows
    named, name = [[metric, *columns]], unit
    for metric, label, *cells in others:
        name = metric or name
        named.append([f"{name} {label}", *cells])
    return named
