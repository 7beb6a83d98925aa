"""The points of the frontier of an ONNX model: places with the fewest replicas that hold the SLO, and with more."""

import math
from collections.abc import Iterator
from dataclasses import replace

from infc.ir.plan import Rejection
from infc.ir.problem import Problem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.cost import usd_per_hour
from infc.plan.frontier import MORE, FrontierPoint, Judged, broken_limits
from infc.plan.load import loader_for
from infc.plan.sizing import Sized, Sizer
from infc.plan.space import Place, places


def judged_target(problem: Problem) -> Judged:
    """The highest percentile that the spec names."""
    return Judged(metric="latency", target=max(problem.latency, key=lambda target: target.percentile))


def points(problem: Problem, judged: Judged) -> Iterator[FrontierPoint]:
    """Every place that can hold the SLO, on short simulations."""
    sizer = Sizer(problem, loader_for(problem)).quick()
    for place in places(problem)[0]:
        if sizer.fits(place.site) is not None:
            continue
        sized = sizer.size(place.site)
        if not isinstance(sized, Rejection):
            yield from _more(problem, judged, place, sized, sizer)


def _more(problem: Problem, judged: Judged, place: Place, sized: Sized, sizer: Sizer) -> Iterator[FrontierPoint]:
    """The site with the fewest replicas that hold the SLO, and with more of them."""
    for needed in dict.fromkeys(math.ceil(sized.needed * factor) for factor in MORE):
        load = sizer.load(sized.site, sized.settings, needed)
        if load is None:
            continue
        more = replace(sized, needed=needed, total=needed + problem.limits.redundancy, load=load)
        hourly = usd_per_hour(problem, place.option, needed)
        yield FrontierPoint(
            candidate=place.site.label,
            hardware_id=place.site.hardware.id,
            precision=place.site.precision,
            tensor_parallel=1,
            replicas=more.total,
            usd_per_month=None if hourly is None else hourly * HOURS_PER_MONTH,
            judged_s=load.percentile_s(judged.target.percentile),
            broken=broken_limits(problem.limits, more.total, hourly, place.site.power_cap_w),
        )
