"""The picture of cost against latency: every priced point once, the chosen one on top and named."""

from dataclasses import replace

from infc.ir.precision import Precision
from infc.plan.frontier import Frontier, FrontierPoint
from infc.report.charts.drawing import Path, Text
from infc.report.charts.frontier import frontier_chart
from tests.report.charts.test_latency_curve import is_inside

POINT = FrontierPoint(
    candidate="int8/l4",
    hardware_id="l4",
    precision=Precision.INT8,
    tensor_parallel=1,
    replicas=3,
    usd_per_month=1500.0,
    judged_s=0.012,
    broken=(),
)
CHOSEN = replace(POINT, is_chosen=True, is_efficient=True)


def frontier(*points: FrontierPoint) -> Frontier:
    """A frontier of a p99 of 25 ms."""
    return Frontier(judged="ttft p99", limit_s=0.025, max_usd_per_month=3000.0, points=points)


def test_every_priced_point_is_drawn_once() -> None:
    """Each by what it is; one without a price is not there; the chosen one lies on top and is named with its count."""
    others = (
        replace(POINT, usd_per_month=2500.0, judged_s=0.006, is_efficient=True, hardware_id="l40s"),
        replace(POINT, usd_per_month=2600.0, is_runner_up=True),
        replace(POINT, usd_per_month=2700.0),
        replace(POINT, usd_per_month=9000.0, broken=("max_cost",)),
        replace(POINT, usd_per_month=None),
    )
    picture = frontier_chart(frontier(*others, CHOSEN))
    assert picture is not None
    marks = [s.kind for s in picture.drawing.shapes if isinstance(s, Path) and s.kind.startswith("mark ")]
    assert marks == ["mark missed", "mark dominated", "mark runner-up", "mark efficient", "mark chosen"]
    assert picture.title == "Cost against TTFT p99"
    texts = {s.text for s in picture.drawing.shapes if isinstance(s, Text)}
    assert {"3 x l4", "l40s", "SLO TTFT p99 25 ms", "max_cost"} <= texts
    assert is_inside(picture)
    assert picture.table.rows[0] == ("3 x int8/l4", "$1,500/month", "12 ms", "chosen")
    assert picture.table.rows[-1][-1] == "breaks a limit: max_cost"


def test_names_are_not_written_over_marks_or_each_other() -> None:
    """Points that lie close together keep their names apart, or go without."""
    close = [
        replace(
            POINT, hardware_id=f"device-{n}", usd_per_month=1500.0 + n, judged_s=0.012 - n * 1e-5, is_efficient=True
        )
        for n in range(6)
    ]
    picture = frontier_chart(frontier(CHOSEN, *close))
    assert picture is not None
    names = [s for s in picture.drawing.shapes if isinstance(s, Text) and s.kind.startswith("name")]
    assert any(name.text == "3 x l4" for name in names)
    assert not any(one.overlaps(other, 12.0) for n, one in enumerate(names) for other in names[:n])


def test_one_point_is_no_picture() -> None:
    """There is nothing to compare."""
    assert frontier_chart(frontier(CHOSEN)) is None
