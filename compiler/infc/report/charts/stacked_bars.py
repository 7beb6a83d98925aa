"""Bars made of parts, one below the other, on one scale from zero."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infc.report.charts.drawing import CHARACTER, Box, DataTable, Drawing, Key, Line, Picture, Shape, Text, anchor_at
from infc.report.charts.scale import scale_for

WIDTH = 420.0
_LEFT, _RIGHT = 10.0, 408.0
_ROW, _BAR, _TOP = 50.0, 20.0, 8.0
_FOOT = 24.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a bar; equal kinds have one color and one name."""

    kind: str
    name: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar and its name. `note` stands behind its total."""

    label: str
    parts: tuple[Part, ...]
    note: str = ""

    @property
    def total(self) -> float:
        """All parts."""
        return sum(part.value for part in self.parts)


def stacked_bars(
    title: str,
    bars: Sequence[Bar],
    words: Callable[[float], str],
    *,
    sentence: str,
    limit: tuple[str, float] | None = None,
) -> Picture:
    """The picture. `words` writes a value; `limit` is drawn across all bars with its name."""
    scale = scale_for([*(bar.total for bar in bars), limit[1] if limit else 0.0], _LEFT, _RIGHT, from_zero=True)
    top = _TOP + (18.0 if limit else 0.0)
    bottom = top + _ROW * len(bars)
    shapes: list[Shape] = []
    for tick in scale.ticks(lambda value: words(value) if value else "0"):
        shapes.append(Line(x1=tick.at, y1=top, x2=tick.at, y2=bottom, kind="gridline"))
        room = CHARACTER * len(tick.label) / 2
        anchor = anchor_at(tick.at, _LEFT, WIDTH, room)
        shapes.append(Text(x=tick.at, y=bottom + 16, text=tick.label, anchor=anchor))
    for index, bar in enumerate(bars):
        y = top + _ROW * index
        total = words(bar.total) + (f", {bar.note}" if bar.note else "")
        shapes.append(Text(x=_LEFT, y=y + 15, text=f"{bar.label}: {total}", kind="name"))
        at = 0.0
        for part in bar.parts:
            start, end = scale.at(at), scale.at(at + part.value)
            at += part.value
            if end > start:
                said = f"{bar.label}, {part.name}: {words(part.value)}"
                width = round(end - start, 1)
                shapes.append(Box(x=start, y=y + 22, width=width, height=_BAR, kind=f"part {part.kind}", words=said))
    if limit is not None:
        x = scale.at(limit[1])
        shapes.append(Line(x1=x, y1=top - 4, x2=x, y2=bottom, kind="limit"))
        shapes.append(
            Text(
                x=x,
                y=top - 8,
                text=f"{limit[0]} {words(limit[1])}",
                kind="alarm",
                anchor="end" if x > WIDTH / 2 else "start",
            )
        )
    names = {part.kind: part.name for bar in bars for part in bar.parts}
    return Picture(
        title=title,
        sentence=sentence,
        drawing=Drawing(width=WIDTH, height=bottom + _FOOT, shapes=tuple(shapes)),
        legend=tuple(Key(kind=f"part {kind}", text=name) for kind, name in names.items()) if len(names) > 1 else (),
        table=_table(bars, tuple(dict.fromkeys(names.values())), words),
    )


def _table(bars: Sequence[Bar], names: Sequence[str], words: Callable[[float], str]) -> DataTable:
    rows = []
    for bar in bars:
        known = {part.name: words(part.value) for part in bar.parts}
        rows.append((bar.label, *(known.get(name, "") for name in names), words(bar.total)))
    if len(names) == 1:
        return DataTable(columns=("", names[0]), rows=tuple((row[0], row[-1]) for row in rows))
    return DataTable(columns=("", *names, "in all"), rows=tuple(rows))
