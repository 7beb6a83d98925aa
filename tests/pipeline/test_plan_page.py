"""The page of a directory: what a reviewer has to look at is planned again for its pictures, the rest is a table."""

import shutil
from pathlib import Path

from infc.pipeline.base import Base
from infc.pipeline.changes import review
from infc.pipeline.plan_inputs import PlanOptions
from infc.pipeline.plan_page import plan_page
from infc.report.plan_summary import ALL_IN_FULL
from tests.report.html_page import Page, checked

EXAMPLE = Path(__file__).parents[2] / "specs/fashion-mnist"


def page_of(paths: list[Path]) -> Page:
    """The page of some specs beside their lock."""
    options = PlanOptions(overlay=None, has_ladder=False)
    return checked(plan_page(review(paths, Base(), options, has_cache=False, processes=1), options))


def repository(folder: Path, count: int) -> list[Path]:
    """So many specs of one model, the second of which asks for what nothing can do."""
    for name in ("resnet8.onnx", "test-2000.npz", "calibration-256.npz"):
        shutil.copy(EXAMPLE / name, folder)
    text = (EXAMPLE / "fashion-mnist.infc.yaml").read_text().replace("  targets: [cpu]", "")
    text = text.replace("hardware: [t4, l4, a10g, l40s]", "hardware: [l4]")
    paths = [folder / f"shop-{number:02}.infc.yaml" for number in range(count)]
    for path in paths:
        path.write_text(text.replace("name: fashion-mnist", f"name: {path.name.partition('.')[0]}"))
    paths[1].write_text(paths[1].read_text().replace("p50: 10ms, p99: 80ms", "p50: 0.1ms, p99: 0.2ms"))
    return paths


def test_of_many_specs_one_that_cannot_be_met_is_in_full(tmp_path: Path) -> None:
    """The others are in the folded table with their decision, and can be planned by themselves."""
    paths = repository(tmp_path, ALL_IN_FULL + 1)
    page = page_of(paths)
    assert [each["aria-label"] for each in page.all("article")] == ["shop-01"]
    assert f"{ALL_IN_FULL} of {len(paths)} deployments have a feasible plan; 1 infeasible" in page.text
    assert f"{ALL_IN_FULL} more, with nothing to look at" in page.text
    assert "1 x l4, int8" in page.text
    alone = page_of(paths[:1])
    assert [each["aria-label"] for each in alone.all("article")] == ["shop-00"]
