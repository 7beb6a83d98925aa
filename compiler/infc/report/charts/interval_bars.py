"""Predicted values with their intervals against limits, one row each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infc.ir.interval import Interval
from infc.report.charts.scale import Tick, scale_for

WIDTH = 640.0
_LEFT = 92.0
_RIGHT = 620.0
_ROW = 34.0
_TOP = 10.0


@dataclass(frozen=True, kw_only=True)
class IntervalRow:
    """What a row shows. `limit` None is a value without one."""

    label: str
    value: Interval
    limit: float | None


@dataclass(frozen=True, kw_only=True)
class PlacedBar:
    """A row's positions. `state` is ok, uncertain (the interval crosses the limit), missed, or free (no limit)."""

    label: str
    words: str
    y: float
    value: float
    low: float
    high: float
    limit: float | None
    state: str


@dataclass(frozen=True, kw_only=True)
class IntervalBars:
    """The whole chart."""

    width: float
    height: float
    left: float
    right: float
    bottom: float
    ticks: tuple[Tick, ...]
    bars: tuple[PlacedBar, ...]


def interval_bars(rows: Sequence[IntervalRow], words: Callable[[float], str]) -> IntervalBars:
    """Bars from zero to each value, its interval as a whisker, its limit as a mark. `words` writes a value."""
    ends = [end for row in rows for end in (row.value.high, row.limit or 0.0)]
    scale = scale_for(ends, _LEFT, _RIGHT, from_zero=True)
    bars = tuple(
        PlacedBar(
            label=row.label,
            words=_row_words(row, words),
            y=_TOP + _ROW * index + _ROW / 2,
            value=scale.at(row.value.value),
            low=scale.at(row.value.low),
            high=scale.at(row.value.high),
            limit=None if row.limit is None else scale.at(row.limit),
            state=state_of(row.value, row.limit),
        )
        for index, row in enumerate(rows)
    )
    bottom = _TOP + _ROW * len(rows)
    return IntervalBars(
        width=WIDTH,
        height=bottom + 26.0,
        left=_LEFT,
        right=_RIGHT,
        bottom=bottom,
        ticks=scale.ticks(lambda value: words(value) if value else "0"),
        bars=bars,
    )


def state_of(value: Interval, limit: float | None) -> str:
    """Whether the limit holds: for certain, probably, or not.

    >>> state_of(Interval(value=1.0, low=0.5, high=2.0), 1.5)
    'uncertain'
    """
    if limit is None:
        return "free"
    if value.value > limit:
        return "missed"
    return "ok" if value.high <= limit else "uncertain"


def _row_words(row: IntervalRow, words: Callable[[float], str]) -> str:
    limit = "" if row.limit is None else f", limit {words(row.limit)}"
    return f"{row.label}: {words(row.value.value)} ({words(row.value.low)} to {words(row.value.high)}){limit}"
