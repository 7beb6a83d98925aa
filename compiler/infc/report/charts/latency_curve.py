"""A latency over the share of requests, the tail drawn out: predicted with its interval, measured, and the SLO.

The horizontal axis is logarithmic in the share that is slower (as HdrHistogram draws it): 90, 99 and 99.9% are equally
far apart. An objective is a ceiling that ends at its percentile; the curve has to pass below that end.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infc.ir.distribution import Curve, Distribution
from infc.ir.interval import Interval
from infc.ir.problem import LatencyTarget
from infc.plan.words import duration_text
from infc.report.charts.drawing import DataTable, Drawing, Key, Line, Path, Picture, Shape, Text, polyline
from infc.report.charts.scale import Scale, scale_for

WIDTH, HEIGHT = 420.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 408.0, 14.0, 218.0
_SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9)
_FEWEST_NINES = 2.0
DOT = "M-4,0A4,4 0 1 0 4,0A4,4 0 1 0 -4,0Z"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a load test showed: the curve, percentiles with their bounds by label, and what to call it."""

    curve: Curve
    percentiles: Mapping[str, Interval]
    word: str = "measured"


@dataclass(frozen=True, kw_only=True)
class TailScale:
    """Maps percents to positions: equally far from 0 to 90, from 90 to 99, from 99 to 99.9."""

    most_percent: float
    start: float
    end: float

    def at(self, percent: float) -> float:
        """The position of a percent; beyond the largest one at the border.

        >>> TailScale(most_percent=99.9, start=0.0, end=300.0).at(90.0)
        100.0
        """
        whole = -math.log10(1.0 - self.most_percent / 100.0)
        share = -math.log10(1.0 - min(percent, self.most_percent) / 100.0) / whole
        return round(self.start + share * (self.end - self.start), 1)


def latency_curve(
    title: str, predicted: Distribution | None, measured: Measured | None, targets: Sequence[LatencyTarget]
) -> Picture | None:
    """The picture; None where there is neither a prediction nor a measurement."""
    points = () if predicted is None else predicted.points
    curve = () if measured is None else measured.curve
    shown = () if measured is None else tuple(_percentiles(measured))
    word = "" if measured is None else measured.word
    percents = [percent for percent, _ in (*points, *curve)] + [t.percentile for t in targets]
    if not points and not curve and not shown:
        return None
    tail = TailScale(most_percent=_most(percents), start=_LEFT, end=_RIGHT)
    points = tuple(point for point in points if point[0] <= tail.most_percent)
    curve = tuple(point for point in curve if point[0] <= tail.most_percent)
    seconds = [end for _, each in points for end in (each.low, each.value, each.high)]
    seconds += [value for _, value in curve] + [t.limit_s for t in targets]
    seconds += [end for _, each in shown for end in (each.low, each.value, each.high) if math.isfinite(end)]
    scale = scale_for(seconds, _BOTTOM, _TOP)
    shapes = [
        *_axes(tail, scale),
        *_predicted(points, tail, scale),
        *_ceilings(targets, tail, scale),
        *_measured(curve, shown, word, tail, scale),
    ]
    return Picture(
        title=title,
        sentence=_sentence(points, dict(shown), word, targets),
        drawing=Drawing(width=WIDTH, height=HEIGHT, shapes=tuple(shapes)),
        legend=_legend(word, has_prediction=bool(points), has_target=bool(targets)),
        table=_table(points, curve, dict(shown), word, targets),
    )


def _most(percents: Sequence[float]) -> float:
    """The largest percent that is drawn: a power of ten from the top, 99 at least."""
    highest = max((each for each in percents if each < 100.0), default=99.0)
    nines = math.floor(-math.log10(1.0 - highest / 100.0) + 1e-6)
    return 100.0 - math.pow(10.0, 2.0 - max(nines, _FEWEST_NINES))


def _percentiles(measured: Measured) -> list[tuple[float, Interval]]:
    found = [(float(label[1:]), each) for label, each in measured.percentiles.items() if label.startswith("p")]
    return sorted(found, key=lambda pair: pair[0])


def _axes(tail: TailScale, scale: Scale) -> list[Shape]:
    shapes: list[Shape] = []
    for tick in scale.ticks(duration_text):
        shapes.append(Line(x1=_LEFT, y1=tick.at, x2=_RIGHT, y2=tick.at, kind="gridline"))
        shapes.append(Text(x=_LEFT - 6, y=tick.at + 4, text=tick.label, anchor="end"))
    for percent in (0.0, *(each for each in (50.0, 90.0, 99.0, 99.9, 99.99) if each <= tail.most_percent + 1e-9)):
        x = tail.at(percent)
        shapes.append(Line(x1=x, y1=_TOP, x2=x, y2=_BOTTOM, kind="gridline"))
        shapes.append(Text(x=x, y=_BOTTOM + 17, text=f"{percent:g}%", anchor="end" if x > _RIGHT - 12 else "middle"))
    shapes.append(Text(x=_RIGHT, y=_BOTTOM + 38, text="share of requests that are at least as fast", anchor="end"))
    return shapes


def _predicted(points: Sequence[tuple[float, Interval]], tail: TailScale, scale: Scale) -> list[Shape]:
    if not points:
        return []
    upper = [(tail.at(percent), scale.at(each.high)) for percent, each in points]
    lower = [(tail.at(percent), scale.at(each.low)) for percent, each in reversed(points)]
    middle = [(tail.at(percent), scale.at(each.value)) for percent, each in points]
    return [Path(d=polyline([*upper, *lower]) + "Z", kind="band"), Path(d=polyline(middle), kind="line predicted")]


def _ceilings(targets: Sequence[LatencyTarget], tail: TailScale, scale: Scale) -> list[Shape]:
    """One ceiling a target: from the end of the one before to its percentile, with a mark at its end."""
    shapes: list[Shape] = []
    start = _LEFT
    for target in sorted(targets, key=lambda each: each.percentile):
        x, y = tail.at(target.percentile), scale.at(target.limit_s)
        words = f"{target.label} at most {duration_text(target.limit_s)}"
        shapes.append(Path(d=polyline([(start, y), (x, y), (x, y + 7)]), kind="ceiling", words=words))
        above = y - 6 if y - 6 > _TOP + 8 else y + 20
        label = Text(
            x=x, y=above, text=f"SLO {target.label} {duration_text(target.limit_s)}", kind="alarm", anchor="end"
        )
        if label.extent[0] < _LEFT:
            label = Text(x=_LEFT + 4, y=above, text=label.text, kind="alarm")
        shapes.append(label)
        start = x
    return shapes


def _measured(
    curve: Curve, shown: Sequence[tuple[float, Interval]], word: str, tail: TailScale, scale: Scale
) -> list[Shape]:
    shapes: list[Shape] = []
    if curve:
        placed = [(tail.at(percent), scale.at(seconds)) for percent, seconds in curve]
        shapes.append(Path(d=polyline(placed), kind="line measured"))
    for percent, each in shown:
        x = tail.at(percent)
        high = each.high if math.isfinite(each.high) else each.value
        shapes.append(Line(x1=x, y1=scale.at(each.low), x2=x, y2=scale.at(high), kind="whisker"))
        shapes.append(
            Path(
                d=DOT,
                kind="dot measured",
                x=x,
                y=scale.at(each.value),
                words=f"{word} p{percent:g} {range_text(each)}",
            )
        )
    return shapes


def range_text(interval: Interval) -> str:
    """`12 ms (11 ms to 14 ms)`; an end that the samples do not bound is left open.

    >>> range_text(Interval(value=0.012, low=0.011, high=math.inf))
    '12 ms (11 ms or more)'
    """
    value, low = duration_text(interval.value), duration_text(interval.low)
    if interval.low == interval.high:
        return value
    return (
        f"{value} ({low} to {duration_text(interval.high)})"
        if math.isfinite(interval.high)
        else f"{value} ({low} or more)"
    )


def _at(points: Sequence[tuple[float, Interval]], percent: float) -> Interval | None:
    return next((each for known, each in points if abs(known - percent) < 1e-9), None)


def _sentence(
    points: Sequence[tuple[float, Interval]],
    shown: Mapping[float, Interval],
    word: str,
    targets: Sequence[LatencyTarget],
) -> str:
    parts = []
    for target in targets:
        predicted, measured = _at(points, target.percentile), shown.get(target.percentile)
        said = [f"predicted {range_text(predicted)}"] if predicted is not None else []
        said += [f"{word} {range_text(measured)}"] if measured is not None else []
        parts.append(f"{target.label}: {', '.join(said) or 'not known'}; allowed {duration_text(target.limit_s)}")
    if not parts:
        median, worst = _at(points, 50.0) or shown.get(50.0), _at(points, 99.0) or shown.get(99.0)
        parts += [f"p50 {range_text(median)}"] if median is not None else []
        parts += [f"p99 {range_text(worst)}"] if worst is not None else []
    return ". ".join(parts) + "."


def _legend(word: str, *, has_prediction: bool, has_target: bool) -> tuple[Key, ...]:
    keys = []
    if has_prediction:
        keys += [
            Key(kind="line predicted", text="predicted", shape="M-7,0H7"),
            Key(kind="band", text="its 90% interval"),
        ]
    if word:
        keys.append(Key(kind="dot measured", text=f"{word}, with its confidence interval", shape=DOT))
    if has_target:
        keys.append(Key(kind="ceiling", text="SLO: the curve passes below its right end", shape="M-7,-3H6V4"))
    return tuple(keys)


def _table(
    points: Sequence[tuple[float, Interval]],
    curve: Curve,
    shown: Mapping[float, Interval],
    word: str,
    targets: Sequence[LatencyTarget],
) -> DataTable:
    limits = {target.percentile: target.limit_s for target in targets}
    wanted = sorted({*_SHOWN, *limits, *shown})
    rows = []
    for percent in wanted:
        predicted, measured = _at(points, percent), shown.get(percent)
        on_curve = next((seconds for known, seconds in curve if abs(known - percent) < 1e-9), None)
        if predicted is None and measured is None and on_curve is None:
            continue
        said = "" if measured is None else range_text(measured)
        if measured is None and on_curve is not None:
            said = duration_text(on_curve)
        limit = limits.get(percent)
        row = (f"p{percent:g}", "" if predicted is None else range_text(predicted), said)
        rows.append((*row, "" if limit is None else duration_text(limit)))
    table = DataTable(columns=("percentile", "predicted (90% interval)", word, "SLO"), rows=tuple(rows))
    return table.without_empty()
