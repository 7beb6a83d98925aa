"""Cost against latency: every way to deploy that was sized, the efficient ones joined by a line."""

from collections.abc import Sequence
from dataclasses import replace

from infc.ir.precision import Precision
from infc.plan.frontier import Frontier, FrontierPoint
from infc.plan.words import duration_text, month_text
from infc.report.charts.drawing import (
    CHARACTER,
    DataTable,
    Drawing,
    Key,
    Line,
    Path,
    Picture,
    Shape,
    Text,
    anchor_at,
    polyline,
    stairs,
)
from infc.report.charts.scale import Scale, scale_for

WIDTH, HEIGHT = 420.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 408.0, 16.0, 268.0
_NAMED = 6
_ROWS = 40
CIRCLE = "M-5.5,0A5.5,5.5 0 1 0 5.5,0A5.5,5.5 0 1 0 -5.5,0Z"

SHAPES: dict[Precision, str] = {
    Precision.FP32: "M-5,-5H5V5H-5Z",
    Precision.TF32: "M-5,-5H5V5H-5Z",
    Precision.FP16: CIRCLE,
    Precision.BF16: CIRCLE,
    Precision.FP8: "M0,-6.5L6.5,0L0,6.5L-6.5,0Z",
    Precision.INT8: "M0,-6.5L6.2,5H-6.2Z",
    Precision.INT4: "M0,6.5L6.2,-5H-6.2Z",
    Precision.FP4: "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
}
"""The mark of a precision, drawn around the origin: circle 16 bits, triangle INT8, diamond FP8, square 32 bits."""

_KINDS = {
    "chosen": "chosen",
    "efficient": "nothing is both cheaper and faster",
    "runner-up": "runner-up",
    "dominated": "another is both cheaper and faster",
    "missed": "breaks a limit",
}


def frontier_chart(frontier: Frontier) -> Picture | None:
    """The picture; None when fewer than two points have a price."""
    points = [point for point in frontier.points if point.usd_per_month is not None]
    if len(points) < 2:
        return None
    costs = [_cost(point) for point in points]
    limit = frontier.max_usd_per_month
    has_limit = limit is not None and limit < 3 * max(costs)
    if limit is not None and has_limit:
        costs.append(limit)
    x = scale_for(costs, _LEFT, _RIGHT)
    y = scale_for([*(point.judged_s for point in points), frontier.limit_s], _BOTTOM, _TOP)
    shapes = [
        *_axes(x, y),
        *_limits(frontier, x, y, has_limit=has_limit),
        *_marks(points, _name(frontier.judged), x, y),
    ]
    return Picture(
        title=f"Cost against {_name(frontier.judged)}",
        sentence=_sentence(frontier, points),
        drawing=Drawing(width=WIDTH, height=HEIGHT, shapes=tuple(shapes)),
        legend=_legend(points),
        table=_table(points, _name(frontier.judged)),
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


def _name(judged: str) -> str:
    """A judged percentile as its metric is written.

    >>> _name("ttft p99"), _name("p99")
    ('TTFT p99', 'p99')
    """
    metric, _, percentile = judged.rpartition(" ")
    return f"{metric.upper()} {percentile}" if metric in ("ttft", "tpot") else judged


def _axes(x: Scale, y: Scale) -> list[Shape]:
    shapes: list[Shape] = []
    for tick in y.ticks(duration_text):
        shapes.append(Line(x1=_LEFT, y1=tick.at, x2=_RIGHT, y2=tick.at, kind="gridline"))
        shapes.append(Text(x=_LEFT - 6, y=tick.at + 4, text=tick.label, anchor="end"))
    for tick in x.ticks(dollars):
        shapes.append(Line(x1=tick.at, y1=_TOP, x2=tick.at, y2=_BOTTOM, kind="gridline"))
        shapes.append(
            Text(x=tick.at, y=_BOTTOM + 17, text=tick.label, anchor="end" if tick.at > _RIGHT - 14 else "middle")
        )
    shapes.append(Text(x=_RIGHT, y=_BOTTOM + 38, text="cost per month", anchor="end"))
    return shapes


def _limits(frontier: Frontier, x: Scale, y: Scale, *, has_limit: bool) -> list[Shape]:
    at = y.at(frontier.limit_s)
    words = f"SLO {_name(frontier.judged)} {duration_text(frontier.limit_s)}"
    shapes: list[Shape] = [
        Line(x1=_LEFT, y1=at, x2=_RIGHT, y2=at, kind="limit-dash"),
        Text(x=_RIGHT, y=at - 5 if at > _TOP + 14 else at + 15, text=words, kind="alarm", anchor="end"),
    ]
    if has_limit and frontier.max_usd_per_month is not None:
        at = x.at(frontier.max_usd_per_month)
        shapes.append(Line(x1=at, y1=_TOP, x2=at, y2=_BOTTOM, kind="limit-dash"))
        anchor = anchor_at(at, _LEFT, _RIGHT, CHARACTER * 4)
        shapes.append(Text(x=at, y=_TOP - 4, text="max_cost", kind="alarm", anchor=anchor))
    return shapes


def _marks(points: Sequence[FrontierPoint], judged: str, x: Scale, y: Scale) -> list[Shape]:
    drawn = sorted(points, key=lambda point: (_rank(point), point.candidate, point.replicas))
    placed = [(point, x.at(_cost(point)), y.at(point.judged_s)) for point in drawn]
    front = sorted((at_x, at_y) for point, at_x, at_y in placed if point.is_efficient)
    shapes: list[Shape] = [Path(d=polyline(stairs(front)), kind="front")] if len(front) > 1 else []
    shapes += [
        Path(d=SHAPES[point.precision], kind=f"mark {kind_of(point)}", x=at_x, y=at_y, words=_words(point, judged))
        for point, at_x, at_y in placed
    ]
    return [*shapes, *_labels(placed)]


def _labels(placed: Sequence[tuple[FrontierPoint, float, float]]) -> list[Text]:
    """Names of the chosen and the first efficient points, beside, above or below their mark where there is room."""
    wanted = [each for each in placed if each[0].is_efficient or each[0].is_chosen]
    wanted.sort(key=lambda each: (not each[0].is_chosen, each[1], each[2]))
    marks = [Text(x=x, y=y + 4, text="oo", anchor="middle") for _, x, y in placed]
    found: list[Text] = []
    for point, x, y in wanted[:_NAMED]:
        device = point.hardware_id + (f" tp{point.tensor_parallel}" if point.tensor_parallel > 1 else "")
        device += f" pp{point.pipeline_parallel}" if point.pipeline_parallel > 1 else ""
        text = f"{point.replicas} x {device}" if point.is_chosen else device
        free = [label for label in _places(text, x, y) if _is_free(label, x, y, marks, found)]
        if free:
            found.append(free[0])
        elif point.is_chosen:
            found.append(_places(text, x, y)[0])
    return [
        replace(label, kind="name strong") if number == 0 and wanted[0][0].is_chosen else label
        for number, label in enumerate(found)
    ]


def _places(text: str, x: float, y: float) -> list[Text]:
    """Where a name may stand: right, left, above, below."""
    beside = [
        Text(x=x + 11, y=y + 4, text=text, kind="name"),
        Text(x=x - 11, y=y + 4, text=text, kind="name", anchor="end"),
    ]
    half = CHARACTER * len(text) / 2
    middle = anchor_at(x, _LEFT, _RIGHT, half)
    return [*beside, *(Text(x=x, y=at, text=text, kind="name", anchor=middle) for at in (y - 11, y + 20))]


def _is_free(label: Text, x: float, y: float, marks: Sequence[Text], found: Sequence[Text]) -> bool:
    start, end = label.extent
    is_inside = start >= _LEFT and end <= _RIGHT and _TOP + 8 < label.y < _BOTTOM
    own = Text(x=x, y=y + 4, text="oo", anchor="middle")
    others = [mark for mark in marks if (mark.x, mark.y) != (own.x, own.y)]
    return is_inside and not any(label.overlaps(other, 12.0) for other in (*others, *found))


def _sentence(frontier: Frontier, points: Sequence[FrontierPoint]) -> str:
    chosen = next((point for point in points if point.is_chosen), None)
    allowed = [point for point in points if not point.broken]
    said = f"{len(points)} ways to deploy were sized, {len(allowed)} of them within every limit."
    if chosen is None:
        return said
    cheaper = [point for point in allowed if _cost(point) < _cost(chosen) * 0.999]
    first = f"Chosen: {chosen.replicas} x {chosen.hardware_id} at {chosen.precision.value}, "
    first += f"{month_text(_cost(chosen))}, {_name(frontier.judged)} {duration_text(chosen.judged_s)}."
    if not cheaper:
        return f"{first} {said} None is cheaper."
    return f"{first} {said} Cheaper on short simulations: {len(cheaper)}."


def _legend(points: Sequence[FrontierPoint]) -> tuple[Key, ...]:
    seen = sorted({point.precision for point in points}, key=list(Precision).index)
    kinds = {kind_of(point) for point in points}
    keys = [Key(kind="mark plain", text=precision.value, shape=SHAPES[precision]) for precision in seen]
    return (
        *keys,
        *(Key(kind=f"mark {kind}", text=text, shape=CIRCLE) for kind, text in _KINDS.items() if kind in kinds),
    )


def _table(points: Sequence[FrontierPoint], judged: str) -> DataTable:
    """The points by what they are, then by cost; so many as a reader may look through."""
    ranked = sorted(points, key=lambda p: (-_rank(p), _cost(p), p.judged_s, p.candidate))
    rows = [
        (
            f"{point.replicas} x {point.candidate}",
            month_text(_cost(point)),
            duration_text(point.judged_s),
            _KINDS[kind_of(point)] + (f": {', '.join(point.broken)}" if point.broken else ""),
        )
        for point in ranked[:_ROWS]
    ]
    if len(ranked) > _ROWS:
        rows.append((f"and {len(ranked) - _ROWS} more", "", "", ""))
    return DataTable(columns=("replicas and candidate", "cost", judged, "what it is"), rows=tuple(rows))


def _cost(point: FrontierPoint) -> float:
    return point.usd_per_month or 0.0


def _rank(point: FrontierPoint) -> int:
    """Drawn last lies on top."""
    return ["missed", "dominated", "runner-up", "efficient", "chosen"].index(kind_of(point))


def kind_of(point: FrontierPoint) -> str:
    """chosen, efficient, runner-up, dominated, or missed: it breaks the SLO or another limit."""
    if point.is_chosen:
        return "chosen"
    if point.broken:
        return "missed"
    if point.is_efficient:
        return "efficient"
    return "runner-up" if point.is_runner_up else "dominated"


def _words(point: FrontierPoint, judged: str) -> str:
    broken = f"; breaks {', '.join(point.broken)}" if point.broken else ""
    return (
        f"{point.replicas} x {point.candidate}: {month_text(_cost(point))},"
        f" {judged} {duration_text(point.judged_s)}{broken}"
    )
