"""Stacked bars and interval rows: lengths add up, order is kept, limits are where they belong."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.interval import Interval
from infc.report.charts.drawing import Box, DataTable, Line, Path, Picture, Text
from infc.report.charts.interval_rows import IntervalRow, Mark, interval_rows, state_of
from infc.report.charts.stacked_bars import Bar, Part, stacked_bars
from tests.report.charts.test_latency_curve import is_inside

VALUES = st.lists(st.floats(0.0, 1e9), min_size=1, max_size=6)


def words(value: float) -> str:
    """A value."""
    return f"{value:.3g}"


@settings(max_examples=40)
@given(VALUES, VALUES)
def test_parts_of_a_bar_follow_each_other_and_stay_inside(one: list[float], other: list[float]) -> None:
    """A part begins where the one before ended; bars are as long as their total says."""
    bars = [
        Bar(label=label, parts=tuple(Part(kind=f"k{n}", name=f"part {n}", value=v) for n, v in enumerate(values)))
        for label, values in (("one", one), ("other", other))
    ]
    picture = stacked_bars("x", bars, words, sentence="x", limit=("limit", max(one)))
    assert is_inside(picture)
    for label in ("one", "other"):
        boxes = [s for s in picture.drawing.shapes if isinstance(s, Box) and s.words.startswith(f"{label},")]
        for before, after in pairwise(boxes):
            assert abs(before.x + before.width - after.x) < 0.11


@settings(max_examples=40)
@given(st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=8), st.floats(-5.0, 5.0))
def test_dots_keep_the_order_of_their_values(values: list[float], mark: float) -> None:
    """A larger value lies to the right, on either side of zero, and of a mark."""
    rows = [
        IntervalRow(label=f"r{n}", value=Interval(value=v, low=v - 0.5, high=v + 0.5), said=words(v))
        for n, v in enumerate(values)
    ]
    drawing = interval_rows(rows, words, marks=(Mark(name="limit", value=mark),), from_zero=False)
    dots = [shape.x for shape in drawing.shapes if isinstance(shape, Path)]
    limit = next(shape.x1 for shape in drawing.shapes if isinstance(shape, Line) and shape.kind == "limit")
    ranked = sorted(zip([*values, mark], [*dots, limit], strict=True))
    assert [x for _, x in ranked] == sorted(x for _, x in ranked)
    assert is_inside(Picture(title="", sentence="", drawing=drawing, table=DataTable(columns=(), rows=())))


def test_what_lies_beyond_is_cut_off_with_an_arrow() -> None:
    """An interval that ends far out does not squeeze the others."""
    rows = [
        IntervalRow(label="near", value=Interval(value=0.5, low=0.4, high=0.6), said=""),
        IntervalRow(label="far", value=Interval(value=0.6, low=0.4, high=900.0), said=""),
    ]
    drawing = interval_rows(rows, words, most=2.0)
    assert sum(isinstance(shape, Path) and shape.kind == "arrow" for shape in drawing.shapes) == 1
    assert max(float(s.text) for s in drawing.shapes if isinstance(s, Text) and s.text.replace(".", "").isdigit()) <= 2


def test_names_of_marks_are_not_written_over_each_other() -> None:
    """Two marks at one place have their names below each other."""
    rows = [IntervalRow(label="r", value=Interval.exact(0.91), said="")]
    marks = (Mark(name="floor 0.9", value=0.9), Mark(name="reference 0.9001", value=0.9001, kind="reference"))
    drawing = interval_rows(rows, words, marks=marks, from_zero=False)
    names = [shape for shape in drawing.shapes if isinstance(shape, Text) and shape.text.startswith(("floor", "ref"))]
    assert not names[0].overlaps(names[1])


def test_no_line_runs_through_what_a_row_says() -> None:
    """A value stands left of the limit that would cross it."""
    rows = [IntervalRow(label="p99", value=Interval.exact(0.2), said="1.31 ms of 80 ms")]
    drawing = interval_rows(rows, words, marks=(Mark(name="limit", value=1.0),))
    said = next(shape for shape in drawing.shapes if isinstance(shape, Text) and shape.text == "1.31 ms of 80 ms")
    limit = next(shape for shape in drawing.shapes if isinstance(shape, Line) and shape.kind == "limit")
    assert said.extent[1] < limit.x1


def test_a_limit_holds_for_certain_probably_or_not() -> None:
    """The state of a value is that of its interval against the limit; without one it is free."""
    value = Interval(value=1.0, low=0.5, high=2.0)
    assert [state_of(value, limit) for limit in (2.0, 1.5, 0.9, None)] == ["ok", "uncertain", "missed", "free"]


def test_columns_without_anything_are_left_out() -> None:
    """A table of numbers has no empty column."""
    table = DataTable(columns=("a", "b", "c"), rows=(("1", "", "2"), ("3", "", "")))
    assert table.without_empty() == DataTable(columns=("a", "c"), rows=(("1", "2"), ("3", "")))
