"""The points of the frontier of a language model: sites with the fewest replicas that hold the SLO, and with more."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from infc.ir.plan import Plan, Rejection
from infc.ir.problem import LlmProblem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.cost import least_usd_per_hour, usd_per_hour
from infc.plan.frontier import MORE, FrontierPoint, Judged, broken_limits, latency_s
from infc.plan.llm.load import TokenLoaders, targets_of
from infc.plan.llm.site import LlmSite
from infc.plan.llm.sizing import LlmSizer
from infc.plan.llm.space import sites

SITES = 14
"""Sites that are sized, by what they cost at least: the rest is far off the frontier."""
SCALE = 0.15
"""Length of the simulations as a share of those that judge a plan."""


def judged_targets(problem: LlmProblem, plan: Plan | None) -> tuple[Judged, ...]:
    """The highest percentile of each metric that has any: the one that the plan uses up most first, where there is."""
    every = [
        Judged(metric=metric, target=max(targets, key=lambda target: target.percentile))
        for metric, targets in targets_of(problem).items()
        if targets
    ]
    if plan is not None:
        every.sort(key=lambda judged: -latency_s(plan.estimate, judged).value / judged.target.limit_s)
    return tuple(every)


def points(problem: LlmProblem, judged: Sequence[Judged]) -> Iterator[tuple[FrontierPoint, ...]]:
    """The cheapest sites that can hold the SLO, on short simulations: a point for each judged target."""
    sizer = LlmSizer(problem, TokenLoaders(problem, scale=SCALE))
    able = [site for site in sites(problem)[0] if sizer.ruled_out(site) is None]
    able.sort(key=lambda site: (_least(problem, site, sizer), site.label))
    for site in able[:SITES]:
        sized = sizer.size(site, None)
        if isinstance(sized, Rejection):
            continue
        for needed in dict.fromkeys(math.ceil(sized.needed * factor) for factor in MORE):
            found = _points(problem, judged, site, needed, sizer)
            if found:
                yield found


def _least(problem: LlmProblem, site: LlmSite, sizer: LlmSizer) -> float:
    cost = least_usd_per_hour(problem, site.option, sizer.fewest(site), devices=site.devices)
    return math.inf if cost is None else cost


def _points(
    problem: LlmProblem, judged: Sequence[Judged], site: LlmSite, needed: int, sizer: LlmSizer
) -> tuple[FrontierPoint, ...]:
    trial = sizer.quick_trial(site, needed)
    if trial is None:
        return ()
    total = needed + problem.limits.redundancy
    hourly = usd_per_hour(problem, site.option, needed, devices=site.devices)
    point = FrontierPoint(
        candidate=site.label,
        hardware_id=site.hardware.id,
        precision=site.precision,
        tensor_parallel=site.tensor_parallel,
        pipeline_parallel=site.pipeline_parallel,
        replicas=total,
        usd_per_month=None if hourly is None else hourly * HOURS_PER_MONTH,
        judged_s=0.0,
        broken=broken_limits(problem.limits, total * site.devices, hourly, site.power_cap_w),
    )
    return tuple(
        replace(point, judged_s=trial.load.percentile_s(each.metric, each.target.percentile))
        for each in judged
        if each.metric != "latency"
    )
