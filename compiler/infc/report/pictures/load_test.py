"""A load test in pictures, by what it says itself: no plan is needed beside it."""

from collections.abc import Iterator

from infc.ir.distribution import LatencyMetric
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement, SloVerdict
from infc.ir.problem import LatencyTarget
from infc.report.charts.drawing import Picture
from infc.report.charts.latency_curve import latency_curve
from infc.report.pictures.latency import NAMES, Judged, layers_picture, measured_curve, objectives_picture


def load_test_pictures(measurement: Measurement | LlmMeasurement) -> Iterator[Picture]:
    """Each objective, where the time of a mean request goes, and each distribution that has an objective."""
    if measurement.verdicts:
        yield objectives_picture([_judged(each) for each in measurement.verdicts], measurement)
    layers = layers_picture(None, measurement)
    if isinstance(layers, Picture):
        yield layers
    for metric, name in NAMES.items():
        targets = [target for of, target in map(_target, measurement.verdicts) if of == metric]
        title = f"{name} distribution of the load test"
        drawn = latency_curve(title, None, measured_curve(measurement, metric), targets) if targets else None
        if drawn is not None:
            yield drawn


def _judged(each: SloVerdict) -> Judged:
    metric, target = _target(each)
    return Judged(
        label=target.label if metric == "latency" else f"{metric.upper()} {target.label}",
        limit_s=each.limit_s,
        predicted=each.predicted_s,
        measured=each.measured_s,
        verdict=each.verdict,
    )


def _target(each: SloVerdict) -> tuple[LatencyMetric, LatencyTarget]:
    """What a verdict is about: its label is `p99`, or `ttft p99` of a language model."""
    before, _, label = each.label.rpartition(" ")
    metric: LatencyMetric = next((name for name in NAMES if name == before), "latency")
    return metric, LatencyTarget(percentile=float(label.removeprefix("p")), limit_s=each.limit_s)
