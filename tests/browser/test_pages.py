"""The pages of real plans in a real browser: readable on a phone and on a desk, light and dark, with keys alone.

Needs Chromium and axe-core: `npm install axe-core`, and INFC_AXE names its axe.min.js. INFC_SCREENSHOTS keeps pictures.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infc.ir.change import ChangeSet
from infc.ir.engine import LoweredModel
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.pipeline.base import Base
from infc.pipeline.changes import review
from infc.pipeline.plan_inputs import PlanOptions
from infc.pipeline.plan_page import plan_page
from infc.report.compile_html import render_bundle_report, render_compile_html
from infc.report.compiled import CompiledEntry
from infc.report.load_test import with_load_test
from infc.report.plan_html import render_plan_html
from tests.browser.chromium import Browser, axe_path, browser, chromium_path
from tests.emit import samples
from tests.report.html_page import checked
from tests.report.test_measurement import MEASURED
from tests.report.test_plan_html import change, entry

CHROMIUM, AXE = chromium_path(), axe_path()
SPECS = Path(__file__).parents[2] / "specs"
LOOKS = [(width, is_dark) for width in (1280, 360) for is_dark in (False, True)]
EXAMPLES = ("fashion-mnist", "minilm", "qwen3-8b", "dock-camera")
PAGES = (*EXAMPLES, "infeasible", "many", "changed", "compile", "report")
MANY = 40
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: install one, or name it in INFC_CHROMIUM"),
    pytest.mark.skipif(AXE is None, reason="no axe-core: npm install axe-core, and name its axe.min.js in INFC_AXE"),
]

FAULTS = """
axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations
  .filter(each => each.impact === 'serious' || each.impact === 'critical')
  .map(each => [each.id, each.nodes.slice(0, 3).map(node => node.html.slice(0, 200))])))
"""
CROSSED = """
(() => { const room = document.documentElement.clientWidth, inside = '.scroll, .unseen, .skip, svg';
  const found = [...document.querySelectorAll('body *')].filter(each => !each.closest(inside)
    && each.getBoundingClientRect().right > room + 1);
  return JSON.stringify(found.map(each => each.outerHTML.slice(0, 120))); })()
"""
FOCUS = """
(each => each.tagName + '.' + each.className
  + (getComputedStyle(each).outlineStyle === 'none' ? ' !' : ''))(document.activeElement)
"""
SMALL = """
(() => JSON.stringify([...document.querySelectorAll('figure > svg')].filter(each => {
  const box = each.viewBox.baseVal, scale = each.getBoundingClientRect().width / box.width;
  return scale * parseFloat(getComputedStyle(each).fontSize) < 9.5; }).length))()
"""


def infeasible_spec() -> str:
    """An objective that no hardware reaches."""
    text = (SPECS / "fashion-mnist/fashion-mnist.infc.yaml").read_text()
    return text.replace("p50: 10ms, p99: 80ms", "p50: 0.1ms, p99: 0.2ms").replace("  targets: [cpu]", "  # no targets")


def planned(*paths: Path) -> str:
    """The page of `infc plan`."""
    options = PlanOptions(overlay=None, has_ladder=False)
    found = review(paths, Base(), options, has_cache=False, processes=1)
    return plan_page(found, options)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file for each of PAGES; each keeps what every page has to keep."""
    folder = tmp_path_factory.mktemp("pages")
    repository = folder / "repository"
    repository.mkdir()
    for name in ("resnet8.onnx", "test-2000.npz", "calibration-256.npz"):
        shutil.copy(SPECS / "fashion-mnist" / name, repository)
    text = infeasible_spec()
    for number in range(MANY):
        spec = text if number % 19 == 0 else text.replace("0.1ms", "10ms").replace("0.2ms", "80ms")
        (repository / f"shop-{number:02}.infc.yaml").write_text(
            spec.replace("name: fashion-mnist", f"name: shop-{number:02}")
        )
    texts = {name: planned(SPECS / name / f"{name}.infc.yaml") for name in EXAMPLES}
    texts["infeasible"] = planned(repository / "shop-00.infc.yaml")
    texts["many"] = planned(*sorted(repository.glob("*.infc.yaml")))
    texts["changed"] = changed()
    texts["compile"], texts["report"] = compiled(folder)
    assert "What stands in the way" in texts["infeasible"]
    assert "3 of 40 are shown in full" in texts["many"]
    for name, page in texts.items():
        checked(page)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


def changed() -> str:
    """The page of a change: one deployment rebuilt, one removed."""
    decided = entry()
    assert isinstance(decided.decision, Plan)
    rebuilt = change("test", "rebuilt", 900.0, 700.0, decided.decision.candidate.target)
    sets = (
        ChangeSet(base="main (1f2e3d4)", digest="sha256:0", changes=(rebuilt, change("old", "removed", 380.0, None))),
    )
    return render_plan_html([decided], sets=sets)


def compiled(folder: Path) -> tuple[str, str]:
    """The page of a compile with a load test, and the report in its output folder with the same one."""
    decided = entry()
    assert isinstance(decided.decision, Plan)
    assert decided.problem is not None
    model = LoweredModel(
        path=folder / "model.onnx",
        digest="1" * 64,
        source_digest="2" * 64,
        precision=Precision.INT8,
        recipe_digest="3" * 64,
        passes=(),
    )
    built = CompiledEntry(
        path="a.infc.yaml",
        target=None,
        folder="dist/a",
        change="added",
        problem=decided.problem,
        plan=decided.decision,
        lowered=model,
        engine=samples.engine(samples.write_onnx(folder / "model.onnx"), kind="tensorrt_rtx"),
        evidence=None,
        measurement=replace(MEASURED, curve_s=((50.0, 0.0064), (90.0, 0.011), (99.0, 0.0171))),
    )
    bare = replace(built, measurement=None)
    assert built.measurement is not None
    report = with_load_test(render_bundle_report([bare]), built.measurement)
    assert report is not None
    return render_compile_html([built, bare]), report


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pages."""
    assert CHROMIUM is not None
    with browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize(("width", "is_dark"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault_that_matters(
    pages: dict[str, Path], chromium: Browser, name: str, width: int, is_dark: bool
) -> None:
    """With everything unfolded: no serious fault by axe, nothing sticks out to the side, no picture's text is tiny."""
    assert AXE is not None
    chromium.open(pages[name], width=width, is_dark=is_dark)
    chromium.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert chromium.evaluate(over) == 0
    assert json.loads(chromium.evaluate(CROSSED)) == []
    assert json.loads(chromium.evaluate(SMALL)) == 0
    if kept := os.environ.get("INFC_SCREENSHOTS"):
        chromium.evaluate("document.querySelectorAll('details').forEach(each => { each.open = false; })")
        chromium.screenshot(Path(kept) / f"{name}-{width}-{'dark' if is_dark else 'light'}.png")
        chromium.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    chromium.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    assert json.loads(chromium.evaluate(FAULTS)) == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_and_nothing_is_refused(pages: dict[str, Path], chromium: Browser, name: str) -> None:
    """The page asks for nothing but itself, and its content policy finds nothing to complain of."""
    chromium.open(pages[name], width=1280)
    asked = [
        event["params"]["request"]["url"] for event in chromium.events if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked == [pages[name].resolve().as_uri()]
    assert not [event for event in chromium.events if event["method"] == "Log.entryAdded"]


@pytest.mark.parametrize("name", PAGES)
def test_at_twice_the_size_nothing_sticks_out(pages: dict[str, Path], chromium: Browser, name: str) -> None:
    """Zoomed to 200% on a desk and to 400% (WCAG 1.4.10: 320 pixels) a page is only scrolled downwards."""
    for zoom in (2.0, 4.0):
        chromium.open(pages[name], width=1280, zoom=zoom)
        assert chromium.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_keys_alone_reach_everything(pages: dict[str, Path], chromium: Browser) -> None:
    """The first key leads past the head; links, folds and boxes that scroll have the focus in turn, each visibly."""
    chromium.open(pages["fashion-mnist"], width=1280)
    seen: list[str] = []
    for _ in range(60):
        chromium.press(*TAB)
        seen.append(chromium.evaluate(FOCUS))
    assert seen[0].startswith("A.skip")
    assert {each.split(".")[0] for each in seen} >= {"A", "SUMMARY", "DIV"}
    assert "DIV.scroll" in seen
    assert not [each for each in seen if each.endswith("!") and not each.startswith("BODY")]


def test_a_fold_opens_by_key(pages: dict[str, Path], chromium: Browser) -> None:
    """Enter on a summary opens the numbers of its picture."""
    chromium.open(pages["fashion-mnist"], width=360)
    chromium.evaluate("document.querySelector('figure summary').focus()")
    assert chromium.evaluate("document.querySelector('figure details').open") is False
    chromium.press(*ENTER)
    assert chromium.evaluate("document.querySelector('figure details').open") is True


def test_paper_gets_ink_on_white_and_everything_unfolded(pages: dict[str, Path], chromium: Browser) -> None:
    """Printed from a dark screen the page is light, and the numbers of pictures are on it."""
    chromium.open(pages["fashion-mnist"], width=800, is_dark=True)
    chromium.call(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    assert (
        chromium.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(255, 255, 255)"
    )
    assert (
        chromium.evaluate("document.querySelector('figure details table').getBoundingClientRect().height > 20") is True
    )
