"""Scales: positions within the chart, order kept, ticks that are round and inside."""

from hypothesis import given
from hypothesis import strategies as st

from infc.report.charts.scale import scale_for

VALUES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=20)


@given(VALUES)
def test_positions_keep_the_order_and_stay_inside(values: list[float]) -> None:
    """A larger value never lies before a smaller one, and all lie within the chart."""
    scale = scale_for(values, 10.0, 110.0)
    placed = [scale.at(value) for value in sorted(values)]
    assert placed == sorted(placed)
    assert all(10.0 <= at <= 110.0 for at in placed)


@given(VALUES)
def test_ticks_are_few_and_inside(values: list[float]) -> None:
    """There are between one and nine ticks, none outside."""
    ticks = scale_for(values, 0.0, 100.0).ticks(str)
    assert 1 <= len(ticks) <= 9
    assert all(0.0 <= tick.at <= 100.0 for tick in ticks)
