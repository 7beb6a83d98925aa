"""The points of the frontier of an ONNX model: places with the fewest replicas that hold the SLO, and with more."""

import math
from collections.abc import Iterator
from dataclasses import replace

from infc.ir.candidate import DynamicBatching
from infc.ir.plan import Rejection
from infc.ir.problem import Problem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.cost import usd_per_hour
from infc.plan.frontier import MORE, FrontierPoint, Judged, broken_limits
from infc.plan.load import loader_for
from infc.plan.sizing import Settings, Sized, Sizer
from infc.plan.space import Place, places

MISSED = (1, 2, 4)
"""Replicas of a place that misses the SLO, as multiples of the fewest that carry the load."""


def judged_target(problem: Problem) -> Judged:
    """The highest percentile that the spec names."""
    return Judged(metric="latency", target=max(problem.latency, key=lambda target: target.percentile))


def points(problem: Problem, judged: Judged) -> Iterator[FrontierPoint]:
    """Every place that holds a replica, on short simulations; what misses the SLO says so."""
    sizer = Sizer(problem, loader_for(problem)).quick()
    for place in places(problem)[0]:
        refusal = sizer.fits(place.site)
        if refusal is not None and refusal.constraint != "latency":
            continue
        sized = refusal or sizer.size(place.site)
        if isinstance(sized, Rejection):
            yield from _missed(problem, judged, place, sizer)
        else:
            yield from _more(problem, judged, place, sized, sizer)


def _missed(problem: Problem, judged: Judged, place: Place, sizer: Sizer) -> Iterator[FrontierPoint]:
    """A place that misses the SLO however many replicas it has: with few of them, and with so many that none waits."""
    alone = Settings(batching=DynamicBatching(max_batch_size=1), instances=1)
    least = sizer.fewest(place.site)
    for needed in dict.fromkeys(least * factor for factor in MISSED):
        load = sizer.load(place.site, alone, needed)
        if load is None:
            continue
        sized = Sized(
            site=place.site,
            settings=alone,
            needed=needed,
            total=needed + problem.limits.redundancy,
            load=load,
        )
        missed = [target.label for target in problem.latency if load.percentile_s(target.percentile) > target.limit_s]
        point = _point(problem, judged, place, sized)
        yield replace(point, broken=(*(f"slo.latency.{label}" for label in missed), *point.broken))


def _more(problem: Problem, judged: Judged, place: Place, sized: Sized, sizer: Sizer) -> Iterator[FrontierPoint]:
    """The site with the fewest replicas that hold the SLO, and with more of them."""
    for needed in dict.fromkeys(math.ceil(sized.needed * factor) for factor in MORE):
        load = sizer.load(sized.site, sized.settings, needed)
        if load is None:
            continue
        more = replace(sized, needed=needed, total=needed + problem.limits.redundancy, load=load)
        yield _point(problem, judged, place, more)


def _point(problem: Problem, judged: Judged, place: Place, sized: Sized) -> FrontierPoint:
    hourly = usd_per_hour(problem, place.option, sized.needed)
    return FrontierPoint(
        candidate=place.site.label,
        hardware_id=place.site.hardware.id,
        precision=place.site.precision,
        tensor_parallel=1,
        replicas=sized.total,
        usd_per_month=None if hourly is None else hourly * HOURS_PER_MONTH,
        judged_s=sized.load.percentile_s(judged.target.percentile),
        broken=broken_limits(problem.limits, sized.total, hourly, place.site.power_cap_w),
    )
