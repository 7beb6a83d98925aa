"""Rules across the fields of a diurnal arrival."""

from collections.abc import Iterator

from infc.ir.arrival import DAY_S
from infc.ir.spec import DiurnalShape, DiurnalSpec, Spec
from infc.spec.findings import Finding

_PATH = "workload.arrival.diurnal"


def diurnal_has_one_shape(spec: Spec) -> Iterator[Finding]:
    """A diurnal rate has its hours or its peak, once, and the deployment's peak is not below it."""
    arrival = spec.workload.arrival
    if not isinstance(arrival, DiurnalSpec):
        return
    yield from _shape(arrival.diurnal)
    if spec.workload.hourly is not None:
        yield Finding(
            id="spec-arrival",
            paths=("workload.hourly", _PATH),
            message="the course of the rate is given twice: by `hourly` and by `diurnal`",
            help="remove `hourly`: the arrival's own shape also sets the baseline and the peak of the costs",
            is_about_key=True,
        )
    ratio = _peak_to_mean(arrival.diurnal)
    peak_rps, rate_rps = spec.workload.peak_rps, spec.workload.rate_rps
    if peak_rps is not None and ratio is not None and peak_rps < rate_rps * ratio * (1 - 1e-9) and peak_rps >= rate_rps:
        yield Finding(
            id="spec-peak-below-rate",
            paths=("workload.peak", "workload.rate", _PATH),
            message="the peak is below the highest rate of the diurnal arrival",
            label=f"less than {rate_rps * ratio:g}/s",
            help=f"set the peak to at least {rate_rps * ratio:g}/s, or leave it out",
        )


def _shape(shape: DiurnalShape) -> Iterator[Finding]:
    if shape.hourly is None and shape.peak_to_mean is None:
        yield Finding(
            id="spec-arrival",
            paths=(_PATH,),
            message="the diurnal arrival does not say how its rate changes",
            help="add `peak_to_mean: 2.5`, or `hourly` with 24 weights",
            is_about_key=True,
        )
    if shape.hourly is None:
        return
    if not any(shape.hourly):
        yield Finding(
            id="spec-hourly",
            paths=(f"{_PATH}.hourly",),
            message="every hour has rate 0",
            help="give at least one hour a weight above 0",
            is_about_key=True,
        )
    without_meaning = [("peak_to_mean", shape.peak_to_mean is not None), ("period", shape.period != DAY_S)]
    for key, is_given in without_meaning:
        if is_given:
            yield Finding(
                id="spec-arrival",
                paths=(f"{_PATH}.{key}", f"{_PATH}.hourly"),
                message=f"`{key}` has no meaning beside `hourly`, which already gives the course of a day",
                help=f"remove `{key}`, or remove `hourly`",
                is_about_key=True,
            )


def _peak_to_mean(shape: DiurnalShape) -> float | None:
    if shape.hourly is not None and any(shape.hourly):
        return max(shape.hourly) * len(shape.hourly) / sum(shape.hourly)
    return shape.peak_to_mean
