"""The search: best bound first, stop when no other site can be better.

Sites are visited in order of the best value their objective can take. A site is sized by simulation only while its
bound is lower than what has been reached, so most are ruled out by arithmetic. The order of the options does not
matter.
"""

from dataclasses import dataclass

from infc.ir.plan import Rejection
from infc.ir.problem import HardwareOption, Problem
from infc.plan.cost import usd_per_hour
from infc.plan.load import Loader
from infc.plan.objective import achieved, bound, objective_words, tie_break
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
    """The `wanted` best feasible sites; sites whose bound is no better than theirs are rejected unsized."""
    loader = Loader(problem.traffic.arrival) if loader is None else loader
    sizer = Sizer(problem, loader)
    every, rejected = places(problem)
    rejections = list(rejected)
    queue: list[tuple[float, str, Place]] = []
    for place in every:
        reason = sizer.fits(place.site)
        if reason is not None:
            rejections.append(reason)
        else:
            queue.append(
                (bound(problem, place.option, place.site, sizer.fewest(place.site), sizer), place.site.label, place)
            )
    queue.sort(key=lambda entry: entry[:2])
    found: list[Found] = []
    for lowest, _, place in queue:
        if len(found) >= wanted and lowest > found[wanted - 1].value * (1 + _TIE):
            rejections.append(_outbid(problem, place.site.label, lowest, found[0].value, "at least "))
            continue
        worst = found[wanted - 1].value if len(found) >= wanted else None
        sized = sizer.size(place.site, _tighter(problem, place.option, worst))
        if isinstance(sized, Rejection):
            rejections.append(sized)
            continue
        found.append(Found(place=place, sized=sized, value=achieved(problem, place.option, sized)))
        found.sort(key=lambda f: (round(f.value, 9), tie_break(problem, f.sized)))
    rejections += [_outbid(problem, f.place.site.label, f.value, found[0].value, "") for f in found[wanted:]]
    return Outcome(
        found=tuple(found[:wanted]),
        rejections=tuple(sorted(rejections, key=lambda r: (r.constraint, r.candidate))),
        loader=loader,
        sizer=sizer,
    )


def ceiling(problem: Problem, option: HardwareOption) -> Ceiling | None:
    """The most replicas that money and the count of accelerators allow on this device.

    None when nothing limits them.
    """
    limits = problem.limits
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
    return min(found, key=lambda c: (c.replicas, c.constraint), default=None)


def _tighter(problem: Problem, option: HardwareOption, worst: float | None) -> Ceiling | None:
    """The ceiling of the hard constraints, or of what would still be among the wanted sites on cost."""
    hard = ceiling(problem, option)
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
