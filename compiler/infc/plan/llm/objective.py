"""What makes one feasible site of a language model better than another, and how good a site can be at best."""

import numpy as np

from infc.ir.interval import Interval
from infc.ir.problem import LlmProblem
from infc.plan.cost import least_usd_per_hour, usd_per_hour
from infc.plan.llm.load import Metric, targets_of
from infc.plan.llm.site import LlmSite
from infc.plan.llm.sizing import LlmSized, LlmSizer
from infc.plan.objective import GAIN_NEEDED
from infc.sim.percentile import percentile

_JUDGED: tuple[Metric, ...] = ("e2e", "ttft", "tpot")


def bound(problem: LlmProblem, site: LlmSite, sizer: LlmSizer) -> float:
    """A value that no candidate of the site can beat; lower is better.

    Cost: dollars per hour of the fewest replicas. Energy: watts, from idle power and the least busy time. Latency: the
    judged percentile of requests without any other. Unpriced devices count instead of dollars, which only happens where
    nothing allowed has a price.
    """
    needed = sizer.fewest(site)
    match problem.objective:
        case "cost":
            cost = least_usd_per_hour(problem, site.option, needed, devices=site.devices)
            return float(needed * site.devices) if cost is None else cost
        case "energy":
            return _least_power_w(problem, site, needed, sizer) * _handicap(site)
        case "latency":
            return _least_latency_s(problem, site, sizer) * _handicap(site)


def achieved(problem: LlmProblem, site: LlmSite, sized: LlmSized) -> float:
    """The objective's value of a sized site, on the scale of `bound`."""
    match problem.objective:
        case "cost":
            power = mean_device_power_w(problem, site, sized)
            drawn = None if power is None else power.value
            cost = usd_per_hour(problem, site.option, sized.needed, devices=site.devices, power_w=drawn)
            return float(sized.needed * site.devices) if cost is None else cost
        case "energy":
            power = site.power_w(sized.trial.load.utilization)
            total = sized.total * site.devices
            return float("inf") if power is None else power.value * total * _handicap(site)
        case "latency":
            metric, target = judged(problem)
            return sized.trial.load.percentile_s(metric, target) * _handicap(site)


def mean_device_power_w(problem: LlmProblem, site: LlmSite, sized: LlmSized) -> Interval | None:
    """What one device draws at the mean rate over the day: busy in proportion to the load."""
    share = min(1.0, problem.traffic.mean_rps / problem.traffic.peak_rps)
    return site.power_w(sized.trial.load.utilization * share)


def judged(problem: LlmProblem) -> tuple[Metric, float]:
    """What the latency objective minimises: the highest percentile of the end-to-end time, else of TTFT or TPOT."""
    for metric in _JUDGED:
        targets = targets_of(problem)[metric]
        if targets:
            return metric, max(target.percentile for target in targets)
    raise AssertionError("a spec without a target was refused")


def tie_break(site: LlmSite, sized: LlmSized) -> tuple[int, float, bool, str]:
    """Order among equals: the checkpoint's own precision first, then the most room under the SLO, then the name."""
    return (site.rank, round(sized.trial.ratio, 6), site.devices > 1, site.label)


def _least_latency_s(problem: LlmProblem, site: LlmSite, sizer: LlmSizer) -> float:
    metric, highest = judged(problem)
    ttft_s, tpot_s = sizer.alone_s(site)
    outputs = sizer.loaders.quick.requests.output_tokens
    values = {"ttft": ttft_s, "tpot": tpot_s, "e2e": ttft_s + tpot_s * np.maximum(outputs - 1, 0)}
    return percentile(values[metric], highest)


def _least_power_w(problem: LlmProblem, site: LlmSite, needed: int, sizer: LlmSizer) -> float:
    idle, full = site.power_w(0.0), site.power_w(1.0)
    if idle is None or full is None:
        return float("inf")
    total = needed + problem.limits.redundancy
    busy = min(float(total), problem.traffic.peak_rps / sizer.capacity_rps(site))
    return (total * idle.value + busy * (full.value - idle.value)) * site.devices


def _handicap(site: LlmSite) -> float:
    return GAIN_NEEDED if site.is_lowered else 1.0
