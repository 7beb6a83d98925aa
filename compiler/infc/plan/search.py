"""The search: best bound first, stop when no other site can be better.

Sites are visited in order of the best value their objective can take. A site is sized by simulation only while its
bound is lower than what has been reached, so most are ruled out by arithmetic. The order of the options does not
matter.
"""

from dataclasses import dataclass

from infc.ir.plan import Rejection
from infc.ir.problem import HardwareOption, Problem
from infc.plan.cost import usd_per_hour
from infc.plan.load import Loader, loader_for
from infc.plan.objective import achieved, bound, objective_words, rank, tie_break
from infc.plan.sizing import Ceiling, Sized, Sizer
from infc.plan.space import Place, places
from infc.plan.words import money_text

_TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Found:
    """A feasible site with its place and the value it reaches."""

    place: Place
    sized: Sized
    value: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The best feasible sites, best first, and why each other one is out. `loader` and `sizer` keep the simulations."""

    found: tuple[Found, ...]
    rejections: tuple[Rejection, ...]
    loader: Loader
    sizer: Sizer


def search(problem: Problem, wanted: int, loader: Loader | None = None) -> Outcome:
    """The best feasible site, and up to `wanted` in all; sites whose bound is no better are rejected unsized.

    The best one is sized on full simulations. Those after it only stand beside it: shorter ones order them.
    """
    loader = loader_for(problem) if loader is None else loader
    sizer = Sizer(problem, loader)
    every, rejected = places(problem)
    rejections = list(rejected)
    queue: list[_Queued] = []
    for place in every:
        reason = sizer.fits(place.site)
        if reason is not None:
            rejections.append(reason)
        else:
            lowest = bound(problem, place.option, place.site, sizer.fewest(place.site), sizer)
            queue.append(_Queued(lowest=lowest, rank=rank(place.site), place=place))
    queue.sort(key=lambda entry: (entry.lowest, entry.rank, entry.place.site.label))
    found: list[Found] = []
    quick = sizer.quick()
    for entry in queue:
        is_contender = not found or entry.can_beat(found[0])
        if not is_contender and len(found) >= wanted and not entry.can_beat(found[wanted - 1]):
            rejections.append(_outbid(problem, entry.place.site.label, entry.lowest, found[0].value, "at least "))
            continue
        worst = found[wanted - 1].value if len(found) >= wanted else None
        hard = _tighter(problem, entry.place, worst)
        sized = (sizer if is_contender else quick).size(entry.place.site, hard)
        if isinstance(sized, Rejection):
            rejections.append(sized)
            continue
        found.append(Found(place=entry.place, sized=sized, value=achieved(problem, entry.place.option, sized)))
        found.sort(key=lambda f: (round(f.value, 9), tie_break(problem, f.sized)))
    rejections += [_outbid(problem, f.place.site.label, f.value, found[0].value, "") for f in found[wanted:]]
    return Outcome(
        found=tuple(found[:wanted]),
        rejections=tuple(sorted(rejections, key=lambda r: (r.constraint, r.candidate))),
        loader=loader,
        sizer=sizer,
    )


@dataclass(frozen=True, kw_only=True)
class _Queued:
    """A place that waits for its turn: the best value it can reach, and its rank among equals."""

    lowest: float
    rank: int
    place: Place

    def can_beat(self, found: Found) -> bool:
        """Whether the place may turn out better: a lower value, or an equal one with no worse rank."""
        if self.rank > rank(found.place.site):
            return self.lowest < found.value * (1 - _TIE)
        return self.lowest <= found.value * (1 + _TIE)


def ceiling(problem: Problem, place: Place) -> Ceiling | None:
    """The most replicas that money, the power cap and the count of accelerators allow on this device.

    The power cap holds for all devices at full draw, redundant ones included. None when nothing limits them.
    """
    limits, option, cap_w = problem.limits, place.option, place.site.power_cap_w
    found: list[Ceiling] = []
    if limits.max_accelerators is not None:
        words = f"max_accelerators {limits.max_accelerators}"
        found.append(
            Ceiling(replicas=limits.max_accelerators - limits.redundancy, constraint="max-accelerators", limit=words)
        )
    if limits.max_usd_per_hour is not None and option.price is not None:
        affordable = _affordable(problem, option, limits.max_usd_per_hour)
        words = f"max_cost {money_text(limits.max_usd_per_hour)}"
        found.append(Ceiling(replicas=affordable, constraint="max-cost", limit=words))
    if limits.max_power_w is not None and cap_w is not None:
        devices = int(limits.max_power_w / cap_w + _TIE)
        words = f"max_power {limits.max_power_w:g} W at {cap_w:g} W a device"
        found.append(Ceiling(replicas=devices - limits.redundancy, constraint="max-power", limit=words))
    return min(found, key=lambda c: (c.replicas, c.constraint), default=None)


def _tighter(problem: Problem, place: Place, worst: float | None) -> Ceiling | None:
    """The ceiling of the hard constraints, or of what would still be among the wanted sites on cost."""
    option = place.option
    hard = ceiling(problem, place)
    if worst is None or problem.objective != "cost" or option.price is None:
        return hard
    replicas = _affordable(problem, option, worst)
    if hard is not None and hard.replicas <= replicas:
        return hard
    return Ceiling(replicas=replicas, constraint="objective", limit=money_text(worst))


def _affordable(problem: Problem, option: HardwareOption, most_usd_per_hour: float) -> int:
    low, high = 0, 1
    while _costs_at_most(problem, option, high, most_usd_per_hour) and high < 1 << 20:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if _costs_at_most(problem, option, middle, most_usd_per_hour):
            low = middle
        else:
            high = middle
    return low


def _costs_at_most(problem: Problem, option: HardwareOption, needed: int, most_usd_per_hour: float) -> bool:
    cost = usd_per_hour(problem, option, needed)
    return cost is not None and cost <= most_usd_per_hour * (1 + _TIE)


def _outbid(problem: Problem, label: str, value: float, best: float, prefix: str) -> Rejection:
    return Rejection(
        candidate=label,
        constraint="objective",
        predicted=prefix + objective_words(problem, value),
        limit=objective_words(problem, best),
    )
