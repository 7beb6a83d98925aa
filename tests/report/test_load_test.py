"""The load test on a bundle's page: put in, renewed, and never more than its own place."""

from dataclasses import replace
from pathlib import Path

import pytest

from infc.ir.accuracy import Verdict
from infc.ir.edge_validation import EdgeValidation
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.report.compile_html import render_bundle_report
from infc.report.load_test import with_load_test
from tests.report.html_page import checked
from tests.report.test_compile_html import entry
from tests.report.test_edge import validation
from tests.report.test_llm_measurement import MEASURED as LLM
from tests.report.test_measurement import MEASURED

SLOTS = "".join(
    f"before {name}<!-- load test of {name} -->\n<p>none yet</p>\n<!-- end of load test -->after {name}"
    for name in ("jetson-orin-nano-8gb", "jetson-orin-nx-16gb")
)


def test_a_load_test_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    """The page is whole with it, a second one replaces the first, and the same again gives the same bytes."""
    bare = render_bundle_report([entry(tmp_path)])
    assert "infc validate BUNDLE" in checked(bare).text
    page = with_load_test(bare, MEASURED)
    assert page is not None
    shown = checked(page)
    assert "Nothing measured" not in shown.text
    for words in ("SLO pass", "17.1 ms (16.2 to ?)", "1 of 4800 over, 99% sure"):
        assert words in shown.text
    assert with_load_test(page, MEASURED) == page
    missed = with_load_test(page, replace(MEASURED, is_rehearsal=True, verdict=Verdict.FAIL))
    assert missed is not None
    assert "rehearsal fail" in missed
    assert "SLO pass" not in missed
    assert missed.partition("<!-- load")[0] == bare.partition("<!-- load")[0]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (LLM, ("TTFT p99", "goodput", "TPOT distribution of the load test", "SLO pass")),
        (validation(), ("33.0 ms", "17.9 W", "built there in 3.5 min")),
        (replace(MEASURED, verdicts=(), verdict=Verdict.INCONCLUSIVE), ("SLO inconclusive", "queue")),
    ],
    ids=["language-model", "device", "nothing-judged"],
)
def test_every_kind_of_load_test_is_shown(
    measured: Measurement | LlmMeasurement | EdgeValidation, words: tuple[str, ...], tmp_path: Path
) -> None:
    """A language model's by metric, a device's with its power, one without an objective with its layers."""
    page = render_bundle_report([entry(tmp_path)]).replace("load test of l4", "load test of jetson-orin-nx-16gb")
    shown = with_load_test(page, measured)
    assert shown is not None
    assert [each for each in words if each not in checked(shown).text] == []


def test_a_device_s_load_test_stands_with_its_module() -> None:
    """Of a release for several modules each has its place; what no place is for changes nothing."""
    page = with_load_test(SLOTS, validation())
    assert page is not None
    nano, _, nx = page.partition("before jetson-orin-nx-16gb")
    assert "none yet" in nano
    assert "none yet" not in nx
    assert "SLO pass" in nx
    assert with_load_test(SLOTS, MEASURED) is None
    assert with_load_test("<p>no page of infc</p>", MEASURED) is None


def test_words_of_a_server_are_never_markup(tmp_path: Path) -> None:
    """Notes and the environment come from elsewhere: they close neither a tag nor the place of the load test."""
    hostile = "<!-- end of load test --><script>x</script>"
    measured = replace(MEASURED, notes=(hostile,), environment={"server": hostile})
    page = with_load_test(render_bundle_report([entry(tmp_path)]), measured)
    assert page is not None
    assert "<script>" not in page
    assert with_load_test(page, MEASURED) == with_load_test(render_bundle_report([entry(tmp_path)]), MEASURED)
