"""What a picture is made of: shapes with positions and a kind, which the page's style colors, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Anchor: TypeAlias = Literal["start", "middle", "end"]
CHARACTER = 7.0
"""Mean width of a character of the pictures' font; text is placed with it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: str


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle. `words` are shown where a pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Path:
    """An outline in SVG's path language, moved by `x` and `y`."""

    d: str
    kind: str
    x: float = 0.0
    y: float = 0.0
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Text:
    """Words at a position."""

    x: float
    y: float
    text: str
    kind: str = ""
    anchor: Anchor = "start"

    @property
    def extent(self) -> tuple[float, float]:
        """From where to where it is about wide."""
        width = CHARACTER * len(self.text)
        start = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return start, start + width

    def overlaps(self, other: "Text", height: float = 14.0) -> bool:
        """Whether two texts would be written over each other."""
        (start, end), (other_start, other_end) = self.extent, other.extent
        return abs(self.y - other.y) < height and start < other_end and other_start < end


Shape: TypeAlias = Line | Box | Path | Text


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture's shapes, those that lie on top last."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, kw_only=True)
class Key:
    """An entry of a legend: a small `shape` of a kind, and what it stands for."""

    kind: str
    text: str
    shape: str = "M-6,-6H6V6H-6Z"


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """The numbers of a picture, as text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def without_empty(self) -> "DataTable":
        """The table without columns that have nothing in any row."""
        kept = [index for index in range(len(self.columns)) if any(row[index] for row in self.rows)]
        return DataTable(
            columns=tuple(self.columns[index] for index in kept),
            rows=tuple(tuple(row[index] for index in kept) for row in self.rows),
        )


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing with its title, what it says in a sentence (shown, and read aloud in its place), and its numbers."""

    title: str
    sentence: str
    drawing: Drawing
    table: DataTable
    legend: tuple[Key, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A picture that cannot be drawn, and what would provide it."""

    title: str
    sentence: str


def anchor_at(x: float, start: float, end: float, room: float) -> Anchor:
    """How a text below `x` is placed so that it stays between `start` and `end`; `room` is half its width.

    >>> anchor_at(5.0, 0.0, 100.0, 20.0), anchor_at(50.0, 0.0, 100.0, 20.0)
    ('start', 'middle')
    """
    if x - room < start:
        return "start"
    return "end" if x + room > end else "middle"


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """A path through points.

    >>> polyline([(0.0, 1.0), (2.5, 3.0)])
    'M0,1L2.5,3'
    """
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)


def stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points joined by steps: first sideways, then up or down.

    >>> stairs([(0.0, 5.0), (2.0, 3.0)])
    [(0.0, 5.0), (2.0, 5.0), (2.0, 3.0)]
    """
    path: list[tuple[float, float]] = []
    for x, y in points:
        if path:
            path.append((x, path[-1][1]))
        path.append((x, y))
    return path
