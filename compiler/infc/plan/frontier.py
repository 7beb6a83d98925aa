"""The frontier: what every allowed device and precision costs and how fast it is, beyond the one that was chosen."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from infc.ir.plan import Plan, Rejection
from infc.ir.precision import Precision
from infc.ir.problem import Problem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.cost import usd_per_hour
from infc.plan.load import loader_for
from infc.plan.objective import judged_s
from infc.plan.sizing import Sized, Sizer
from infc.plan.space import Place, places

MORE = (1.0, 1.34, 2.0)
"""Replicas beside the fewest that hold the SLO, as factors: what more money would buy."""


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """One way to deploy: its replicas (redundant ones included), its cost, and the judged percentile at the peak.

    `broken` names the constraints that it breaks. `is_efficient`: it breaks none, and none that breaks none is both
    cheaper and faster.
    """

    candidate: str
    hardware_id: str
    precision: Precision
    replicas: int
    usd_per_month: float | None
    judged_s: float
    broken: tuple[str, ...]
    is_chosen: bool = False
    is_efficient: bool = False


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """All points. `judged` names the percentile that `limit_s` bounds; `max_usd_per_month` is the spec's cost limit."""

    judged: str
    limit_s: float
    max_usd_per_month: float | None
    points: tuple[FrontierPoint, ...]


def frontier(problem: Problem, plan: Plan | None) -> Frontier:
    """Sizes every allowed device and precision on short simulations; the plan stands in for its own point.

    Takes a second or so for a whole catalogue: for reports, not for plans.
    """
    judged = max(problem.latency, key=lambda target: target.percentile)
    maximum = problem.limits.max_usd_per_hour
    chosen = None if plan is None else _chosen(plan, judged.label)
    points = [point for point in _points(problem) if chosen is None or _identity(point) != _identity(chosen)]
    if chosen is not None:
        points.append(chosen)
    return Frontier(
        judged=judged.label,
        limit_s=judged.limit_s,
        max_usd_per_month=None if maximum is None else maximum * HOURS_PER_MONTH,
        points=with_efficient(points),
    )


def with_efficient(points: Sequence[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    """Marks the points that no other beats on both cost and latency; points without a price are never efficient."""
    ranked = sorted((p for p in points if not p.broken and p.usd_per_month is not None), key=_cost_then_latency)
    efficient: set[int] = set()
    fastest = math.inf
    for point in ranked:
        if point.judged_s < fastest:
            fastest = point.judged_s
            efficient.add(id(point))
    return tuple(replace(point, is_efficient=id(point) in efficient) for point in points)


def _chosen(plan: Plan, judged: str) -> FrontierPoint:
    cost = plan.estimate.cost
    return FrontierPoint(
        candidate=plan.candidate.label,
        hardware_id=plan.candidate.hardware_id,
        precision=plan.candidate.precision,
        replicas=plan.candidate.replicas,
        usd_per_month=None if cost is None else cost.usd_per_month,
        judged_s=plan.estimate.e2e_s[judged].value,
        broken=(),
        is_chosen=True,
    )


def _cost_then_latency(point: FrontierPoint) -> tuple[float, float]:
    return (point.usd_per_month or 0.0, point.judged_s)


def _identity(point: FrontierPoint) -> tuple[str, str, int]:
    return (point.hardware_id, point.precision.value, point.replicas)


def _points(problem: Problem) -> Iterator[FrontierPoint]:
    sizer = Sizer(problem, loader_for(problem)).quick()
    for place in places(problem)[0]:
        if sizer.fits(place.site) is not None:
            continue
        sized = sizer.size(place.site)
        if not isinstance(sized, Rejection):
            yield from _more(problem, place, sized, sizer)


def _more(problem: Problem, place: Place, sized: Sized, sizer: Sizer) -> Iterator[FrontierPoint]:
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
            replicas=more.total,
            usd_per_month=None if hourly is None else hourly * HOURS_PER_MONTH,
            judged_s=judged_s(problem, more),
            broken=tuple(_broken(problem, place, more.total, hourly)),
        )


def _broken(problem: Problem, place: Place, total: int, hourly: float | None) -> Iterator[str]:
    limits, cap_w = problem.limits, place.site.power_cap_w
    if limits.max_accelerators is not None and total > limits.max_accelerators:
        yield "max_accelerators"
    if limits.max_usd_per_hour is not None and hourly is not None and hourly > limits.max_usd_per_hour * (1 + 1e-9):
        yield "max_cost"
    if limits.max_power_w is not None and cap_w is not None and total * cap_w > limits.max_power_w * (1 + 1e-9):
        yield "max_power"
