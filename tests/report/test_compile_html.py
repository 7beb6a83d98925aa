"""The page of a compile: the text report, and the layers of every engine."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from infc.ir.engine import EngineLayer, LoweredModel, PendingEngine
from infc.ir.precision import Precision
from infc.report.compile_html import render_compile_html
from infc.report.compiled import CompiledEntry
from tests.emit import samples


def entry(folder: Path, operator: str = "conv1") -> CompiledEntry:
    """A compiled bundle whose engine has one layer."""
    engine = samples.engine(samples.write_onnx(folder / "model.onnx"), kind="tensorrt_rtx")
    layer = EngineLayer(name=operator, kind="gemm", dtype="Half", input_dtype="Int8", operators=(operator,))
    return CompiledEntry(
        path="specs/lookup.infc.yaml",
        target=None,
        folder="dist/lookup",
        change="added",
        problem=samples.problem(),
        plan=samples.plan(),
        lowered=LoweredModel(
            path=folder / "model.onnx",
            digest="1" * 64,
            source_digest="2" * 64,
            precision=Precision.INT8,
            recipe_digest="3" * 64,
            passes=(),
        ),
        engine=replace(engine, facts=replace(engine.facts, layers=(layer,))),
        evidence=None,
        measurement=None,
    )


class Tags(HTMLParser):
    """The tags of a page, opened and closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Called by the parser."""
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Called by the parser."""
        assert self.open.pop() == tag


def test_the_page_holds_the_report_and_the_layers(tmp_path: Path) -> None:
    """Self-contained: no script, nothing from elsewhere; every tag is closed."""
    page = render_compile_html([entry(tmp_path)])
    tags = Tags(page)
    assert tags.open == []
    assert not {"script", "link", "img"} & {*tags.seen}
    assert "<h1>Compile of lookup</h1>" in page
    assert "dist/lookup" in page
    assert "<td>conv1</td><td>gemm</td><td>Int8</td><td>Half</td>" in page


def test_names_of_the_model_are_never_markup(tmp_path: Path) -> None:
    """Operator names come from a file of unknown origin."""
    page = render_compile_html([entry(tmp_path, operator="<script>x</script>")])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_pending_engine_has_no_layers(tmp_path: Path) -> None:
    """The page says that it is pending, and several bundles are counted."""
    built = entry(tmp_path)
    pending = PendingEngine(
        kind="tensorrt", key="cd" * 32, precision=Precision.FP16, hardware_id="h100-sxm", reason="no H100 at hand"
    )
    page = render_compile_html([built, replace(built, engine=pending)])
    assert "<h1>Compile of 2 bundles</h1>" in page
    assert "engine pending" in page
    assert page.count('<details class="engine-layers"') == 1
