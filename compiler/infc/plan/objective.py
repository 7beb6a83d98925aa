"""What makes one feasible site better than another, and how good a site can be at best."""

from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, Problem
from infc.perf import Unsupported
from infc.plan.cost import least_usd_per_hour, usd_per_hour
from infc.plan.energy import mean_utilization
from infc.plan.evidence import QUANTISED
from infc.plan.load import Loader
from infc.plan.site import Site
from infc.plan.sizing import Sized, Sizer
from infc.plan.words import objective_text

GAIN_NEEDED = 1.05
"""A quantised precision has to be this much better on latency or energy.

Less gain does not pay for its accuracy risk.
"""


def bound(problem: Problem, option: HardwareOption, site: Site, needed: int, sizer: Sizer) -> float:
    """A value that no candidate of the site with at least `needed` replicas can beat; lower is better.

    Cost: dollars per hour. Energy: watts, from idle power and the least busy time. Latency: the service time of one
    request. Unpriced devices count their replicas instead, which only happens where nothing allowed has a price.
    """
    match problem.objective:
        case "cost":
            cost = least_usd_per_hour(problem, option, needed)
            return float(needed) if cost is None else cost
        case "energy":
            return _least_power_w(problem, site, needed, sizer) * _handicap(site)
        case "latency":
            curve = site.curve(1)
            return float("inf") if isinstance(curve, Unsupported) else curve.at(1).value * _handicap(site)


def achieved(problem: Problem, option: HardwareOption, sized: Sized, loader: Loader) -> float:
    """The objective's value of a sized site, on the scale of `bound`."""
    match problem.objective:
        case "cost":
            return _reached_cost(problem, option, sized, loader)
        case "energy":
            power = sized.site.power_w(sized.load.utilization)
            return float("inf") if power is None else power.value * sized.total * _handicap(sized.site)
        case "latency":
            return judged_s(problem, sized) * _handicap(sized.site)


def _reached_cost(problem: Problem, option: HardwareOption, sized: Sized, loader: Loader) -> float:
    """Dollars per hour, or replicas where the device has no price. Owned devices pay for what they are to draw."""
    power = None
    if option.price is not None and option.price.ownership is not None:
        power = sized.site.power_w(mean_utilization(problem, option, sized, loader))
    cost = usd_per_hour(problem, option, sized.needed, power_w=None if power is None else power.value)
    return float(sized.needed) if cost is None else cost


def judged_s(problem: Problem, sized: Sized) -> float:
    """The latency that the latency objective minimises: the highest percentile that the spec names."""
    highest = max(target.percentile for target in problem.latency)
    return sized.load.percentile_s(highest)


def tie_break(problem: Problem, sized: Sized) -> tuple[int, float, bool, str]:
    """Order among equals: unquantised first, then the most room under the SLO, then the name.

    BF16 goes last among precisions of equal room: ONNX Runtime cannot test its accuracy on a CPU.
    """
    ratio = sized.load.slo_ratio(problem.latency)
    return (rank(sized.site), round(ratio, 6), sized.site.precision is Precision.BF16, sized.site.label)


def rank(site: Site) -> int:
    """Unquantised precisions go before quantised ones of equal value."""
    return int(site.precision in QUANTISED)


def objective_words(problem: Problem, value: float) -> str:
    """A value of the objective as a sentence says it."""
    return objective_text(problem.objective, value)


def _handicap(site: Site) -> float:
    return GAIN_NEEDED if site.precision in QUANTISED else 1.0


def _least_power_w(problem: Problem, site: Site, needed: int, sizer: Sizer) -> float:
    idle, full = site.power_w(0.0), site.power_w(1.0)
    if idle is None or full is None:
        return float("inf")
    total = needed + problem.limits.redundancy
    busy = min(float(total), problem.traffic.peak_rps / sizer.best_device_rps(site))
    return total * idle.value + busy * (full.value - idle.value)
