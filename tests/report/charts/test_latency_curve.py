"""The latency curve: the tail is drawn out, ceilings end at their percentile, nothing lies outside."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.distribution import PERCENTS, Distribution, curve_of
from infc.ir.interval import Interval
from infc.ir.problem import LatencyTarget
from infc.report.charts.drawing import Box, Line, Path, Picture, Text
from infc.report.charts.latency_curve import Measured, TailScale, latency_curve

TARGETS = (LatencyTarget(percentile=50.0, limit_s=0.008), LatencyTarget(percentile=99.0, limit_s=0.025))


def predicted(value_s: float = 0.004) -> Distribution:
    """A distribution that grows with the percent."""
    points = tuple(
        (each, Interval(value=value_s * (1 + each / 50), low=value_s / 2, high=3 * value_s)) for each in PERCENTS
    )
    return Distribution(metric="latency", points=points)


def is_inside(picture: Picture) -> bool:
    """Whether every position lies within the drawing."""
    width, height = picture.drawing.width, picture.drawing.height
    for shape in picture.drawing.shapes:
        match shape:
            case Line():
                xs, ys = [shape.x1, shape.x2], [shape.y1, shape.y2]
            case Box():
                xs, ys = [shape.x, shape.x + shape.width], [shape.y, shape.y + shape.height]
            case Text():
                xs, ys = list(shape.extent), [shape.y]
            case Path():
                xs, ys = [shape.x], [shape.y]
        if min(xs) < -1 or max(xs) > width + 1 or min(ys) < 0 or max(ys) > height:
            return False
    return True


def test_each_nine_takes_as_much_room() -> None:
    """90, 99 and 99.9% are equally far apart."""
    scale = TailScale(most_percent=99.9, start=0.0, end=300.0)
    assert [scale.at(each) for each in (0.0, 90.0, 99.0, 99.9, 99.99)] == [0.0, 100.0, 200.0, 300.0, 300.0]


@settings(max_examples=40)
@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=400))
def test_a_measured_curve_never_falls_and_stays_inside(samples: list[float]) -> None:
    """Percentiles of samples rise, and every shape of their picture lies within it."""
    curve = curve_of(sorted(samples))
    assert [seconds for _, seconds in curve] == sorted(seconds for _, seconds in curve)
    ends = {"p50": Interval(value=samples[0], low=min(samples), high=math.inf)}
    picture = latency_curve("x", predicted(), Measured(curve=curve, percentiles=ends), TARGETS)
    assert picture is not None
    assert is_inside(picture)


def test_ceilings_follow_each_other() -> None:
    """Each begins where the one before ends, and the sentence holds predicted and allowed values of each."""
    picture = latency_curve("x", predicted(), None, TARGETS)
    assert picture is not None
    ceilings = [shape.d for shape in picture.drawing.shapes if isinstance(shape, Path) and shape.kind == "ceiling"]
    assert len(ceilings) == 2
    assert ceilings[1].split("L")[0].split(",")[0] == "M" + ceilings[0].split("L")[1].split(",")[0]
    assert picture.sentence.startswith("p50: predicted 8 ms (2 ms to 12 ms); allowed 8 ms. p99: predicted")
    assert picture.table.columns == ("percentile", "predicted (90% interval)", "SLO")


def test_nothing_known_is_no_picture() -> None:
    """Without a prediction and a measurement there is nothing to draw."""
    assert latency_curve("x", None, None, TARGETS) is None
