"""Cost against latency: every way to deploy that was sized, the efficient ones joined by a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from infc.ir.precision import Precision
from infc.plan.frontier import Frontier, FrontierPoint
from infc.plan.words import duration_text
from infc.report.charts.scale import Tick, scale_for

WIDTH = 720.0
HEIGHT = 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 704.0, 16.0, 350.0
_NAMED = 8
_LABEL_HEIGHT = 13.0
_CHARACTER = 6.2

SHAPES: dict[Precision, str] = {
    Precision.FP32: "M-5,-5H5V5H-5Z",
    Precision.TF32: "M-5,-5H5V5H-5Z",
    Precision.FP16: "M-5.5,0A5.5,5.5 0 1 0 5.5,0A5.5,5.5 0 1 0 -5.5,0Z",
    Precision.BF16: "M-5.5,0A5.5,5.5 0 1 0 5.5,0A5.5,5.5 0 1 0 -5.5,0Z",
    Precision.FP8: "M0,-6.5L6.5,0L0,6.5L-6.5,0Z",
    Precision.INT8: "M0,-6.5L6.2,5H-6.2Z",
    Precision.INT4: "M0,6.5L6.2,-5H-6.2Z",
    Precision.FP4: "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
}
"""The mark of a precision, drawn around the origin: circle 16 bits, triangle INT8, diamond FP8, square 32 bits."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One point. `kind` is chosen, efficient, dominated or missed (it breaks the SLO or another limit)."""

    x: float
    y: float
    shape: str
    kind: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Label:
    """A name beside a mark, ending at `x` when `is_left`."""

    x: float
    y: float
    text: str
    is_left: bool


@dataclass(frozen=True, kw_only=True)
class FrontierChart:
    """The whole chart; `limit_y` and `limit_x` are the SLO and the cost limit where the spec has one."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
    line: str
    limit_y: float | None
    limit_x: float | None
    judged: str
    precisions: tuple[tuple[str, str], ...]


def frontier_chart(frontier: Frontier) -> FrontierChart | None:
    """Places the priced points; None when fewer than two have a price."""
    points = [point for point in frontier.points if point.usd_per_month is not None]
    if len(points) < 2:
        return None
    costs = [_cost(point) for point in points]
    if frontier.max_usd_per_month is not None and frontier.max_usd_per_month < 3 * max(costs):
        costs.append(frontier.max_usd_per_month)
    x = scale_for(costs, _LEFT, _RIGHT)
    y = scale_for([*(point.judged_s for point in points), frontier.limit_s], _BOTTOM, _TOP)
    drawn = sorted(points, key=lambda point: (_rank(point), point.candidate))
    placed = [(point, x.at(_cost(point)), y.at(point.judged_s)) for point in drawn]
    front = sorted((at_x, at_y) for point, at_x, at_y in placed if point.is_efficient)
    seen = sorted({point.precision for point in points}, key=list(Precision).index)
    return FrontierChart(
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        x_ticks=x.ticks(dollars),
        y_ticks=y.ticks(duration_text),
        marks=tuple(
            Mark(x=at_x, y=at_y, shape=SHAPES[point.precision], kind=_kind(point), words=_words(point, frontier.judged))
            for point, at_x, at_y in placed
        ),
        labels=_labels(placed),
        line=" ".join(f"{at_x:g},{at_y:g}" for at_x, at_y in _stairs(front)),
        limit_y=y.at(frontier.limit_s),
        limit_x=None if frontier.max_usd_per_month not in costs else x.at(frontier.max_usd_per_month),
        judged=frontier.judged,
        precisions=tuple((precision.value, SHAPES[precision]) for precision in seen),
    )


def dollars(usd_per_month: float) -> str:
    """Dollars of a month, short.

    >>> dollars(950.0), dollars(12_000.0), dollars(2.5e6)
    ('$950', '$12k', '$2.5M')
    """
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if usd_per_month >= size:
            return f"${usd_per_month / size:.3g}{unit}"
    return f"${usd_per_month:.3g}"


def _labels(placed: Sequence[tuple[FrontierPoint, float, float]]) -> tuple[Label, ...]:
    """Names of the chosen and the first efficient points, where they do not overlap."""
    wanted = sorted((p for p in placed if p[0].is_efficient or p[0].is_chosen), key=lambda p: (_order(p[0]), p[1]))
    found: list[Label] = []
    for point, x, y in wanted[:_NAMED]:
        device = point.hardware_id + (f" tp{point.tensor_parallel}" if point.tensor_parallel > 1 else "")
        device += f" pp{point.pipeline_parallel}" if point.pipeline_parallel > 1 else ""
        text = f"{point.replicas} x {device}" if point.is_chosen else device
        is_left = x + 10 + _CHARACTER * len(text) > _RIGHT
        label = Label(x=x - 10 if is_left else x + 10, y=y + 4, text=text, is_left=is_left)
        if not any(_overlap(label, other) for other in found):
            found.append(label)
    return tuple(found)


def _overlap(label: Label, other: Label) -> bool:
    (start, end), (other_start, other_end) = _extent(label), _extent(other)
    return abs(label.y - other.y) < _LABEL_HEIGHT and start < other_end and other_start < end


def _extent(label: Label) -> tuple[float, float]:
    width = _CHARACTER * len(label.text)
    return (label.x - width, label.x) if label.is_left else (label.x, label.x + width)


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The border of what is reachable: money buys latency in steps."""
    path: list[tuple[float, float]] = []
    for x, y in points:
        if path:
            path.append((x, path[-1][1]))
        path.append((x, y))
    return path


def _cost(point: FrontierPoint) -> float:
    return point.usd_per_month or 0.0


def _order(point: FrontierPoint) -> int:
    return 0 if point.is_chosen else 1


def _rank(point: FrontierPoint) -> int:
    """Drawn last lies on top."""
    return ["missed", "dominated", "efficient", "chosen"].index(_kind(point))


def _kind(point: FrontierPoint) -> str:
    if point.is_chosen:
        return "chosen"
    if point.broken:
        return "missed"
    return "efficient" if point.is_efficient else "dominated"


def _words(point: FrontierPoint, judged: str) -> str:
    broken = f"; breaks {', '.join(point.broken)}" if point.broken else ""
    return (
        f"{point.replicas} x {point.candidate}: ${_cost(point):,.0f}/month,"
        f" {judged} {duration_text(point.judged_s)}{broken}"
    )
