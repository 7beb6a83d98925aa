"""Values with their intervals, one row each, on one scale, and lines through all rows for limits and references."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from infc.ir.interval import Interval
from infc.report.charts.drawing import CHARACTER, Anchor, Drawing, Line, Path, Shape, Text, anchor_at
from infc.report.charts.latency_curve import DOT
from infc.report.charts.scale import Scale, linear_scale, scale_for

WIDTH = 420.0
_LEFT, _RIGHT = 12.0, 408.0
_ROW, _FOOT = 40.0, 24.0
_GAP = 5.0
_ARROW = "M0,-5L6,0L0,5Z"


@dataclass(frozen=True, kw_only=True)
class IntervalRow:
    """A row: its name, its value as `said` at its end, and how its dot is drawn.

    `kind` is ok, uncertain (the interval crosses a limit), missed, or free.
    """

    label: str
    value: Interval
    said: str
    kind: str = "free"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A line through all rows with its name."""

    name: str
    value: float
    kind: str = "limit"


def interval_rows(
    rows: Sequence[IntervalRow],
    words: Callable[[float], str],
    *,
    marks: Sequence[Mark] = (),
    from_zero: bool = True,
    most: float = math.inf,
) -> Drawing:
    """A dot for each value, a line for its interval; what lies beyond `most` is cut off there with an arrow."""
    values = [end for row in rows for end in (row.value.low, row.value.value, row.value.high)]
    values = [min(value, most) for value in (*values, *(mark.value for mark in marks)) if math.isfinite(value)]
    scale = scale_for(values, _LEFT, _RIGHT, from_zero=True) if from_zero else linear_scale(values, _LEFT, _RIGHT)
    names = _mark_names(marks, scale)
    top = 6.0 + 16.0 * len({text.y for text in names})
    bottom = top + _ROW * len(rows)
    shapes: list[Shape] = []
    for tick in scale.ticks(lambda value: words(value) if value else "0"):
        shapes.append(Line(x1=tick.at, y1=top, x2=tick.at, y2=bottom, kind="gridline"))
        anchor = anchor_at(tick.at, _LEFT, WIDTH, CHARACTER * len(tick.label) / 2)
        shapes.append(Text(x=tick.at, y=bottom + 16, text=tick.label, anchor=anchor))
    shapes += [
        Line(x1=scale.at(mark.value), y1=top - 3, x2=scale.at(mark.value), y2=bottom, kind=mark.kind) for mark in marks
    ]
    shapes += names
    for index, row in enumerate(rows):
        shapes += _row(row, scale, top + _ROW * index, most, [scale.at(mark.value) for mark in marks])
    return Drawing(width=WIDTH, height=bottom + _FOOT, shapes=tuple(shapes))


def _row(row: IntervalRow, scale: Scale, top: float, most: float, lines: Sequence[float]) -> list[Shape]:
    y = top + 28
    high = row.value.high if math.isfinite(row.value.high) else row.value.value
    words = f"{row.label}: {row.said}"
    label = Text(x=_LEFT, y=top + 15, text=row.label, kind="name")
    said = _beside(lines, Text(x=_RIGHT, y=top + 15, text=row.said, anchor="end"))
    shapes: list[Shape] = [
        label,
        *(() if label.overlaps(said) else (said,)),  # where there is no room it stands in the table
        Line(x1=scale.at(row.value.low), y1=y, x2=scale.at(high), y2=y, kind="whisker"),
        Path(d=DOT, kind=f"dot {row.kind}", x=scale.at(row.value.value), y=y, words=words),
    ]
    if high > most:
        shapes.append(Path(d=_ARROW, kind="arrow", x=scale.at(most), y=y))
    return shapes


def _beside(lines: Sequence[float], text: Text) -> Text:
    """The text, moved to the left of the lines that would run through it, as far as there is room."""
    for line in sorted(lines, reverse=True):
        start, end = text.extent
        if start < line < end and line - _GAP - (end - start) >= _LEFT:
            text = replace(text, x=line - _GAP)
    return text


def _mark_names(marks: Sequence[Mark], scale: Scale) -> list[Text]:
    """The names of the lines, in as many rows as they need."""
    found: list[Text] = []
    for mark in sorted(marks, key=lambda each: each.value):
        x = scale.at(mark.value)
        anchor: Anchor = "end" if x > WIDTH * 0.6 else "start"
        kind = "alarm" if mark.kind == "limit" else ""
        text = Text(x=x, y=14.0, text=mark.name, kind=kind, anchor=anchor)
        while any(text.overlaps(other) for other in found):
            text = Text(x=x, y=text.y + 16.0, text=mark.name, kind=kind, anchor=text.anchor)
        found.append(text)
    return found


def state_of(value: Interval, limit: float | None) -> str:
    """Whether an upper limit holds: for certain, probably, or not.

    >>> state_of(Interval(value=1.0, low=0.5, high=2.0), 1.5)
    'uncertain'
    """
    if limit is None:
        return "free"
    if value.value > limit:
        return "missed"
    return "ok" if value.high <= limit else "uncertain"
