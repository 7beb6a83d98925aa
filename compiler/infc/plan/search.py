"""The search over the places of an ONNX model: devices at precisions, sized by simulating Triton's scheduler."""

from dataclasses import dataclass
from typing import TypeAlias

from infc.ir.plan import Rejection, SearchSummary
from infc.ir.problem import Problem
from infc.plan.ceiling import Ceiling, hard_ceiling, tighter_ceiling
from infc.plan.contest import Found as FoundAt
from infc.plan.contest import best_first
from infc.plan.load import Loader, loader_for
from infc.plan.objective import achieved, bound, objective_words, rank, tie_break
from infc.plan.sizing import Sized, Sizer
from infc.plan.space import Place, places

Found: TypeAlias = FoundAt[Place, Sized]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The best feasible sites, best first, and why each other one is out. `loader` and `sizer` keep the simulations."""

    found: tuple[Found, ...]
    rejections: tuple[Rejection, ...]
    summary: SearchSummary
    loader: Loader
    sizer: Sizer


def search(problem: Problem, wanted: int, loader: Loader | None = None) -> Outcome:
    """The best feasible site, and up to `wanted` in all; sites whose bound is no better are rejected unsized.

    The best one is sized on full simulations. Those after it only stand beside it: shorter ones order them. The order
    of the options does not matter.
    """
    loader = loader_for(problem) if loader is None else loader
    sizer = Sizer(problem, loader)
    every, rejected = places(problem, loader.curves)
    ranking = best_first(_Sites(problem, sizer, loader), every, rejected, wanted)
    return Outcome(
        found=ranking.found, rejections=ranking.rejections, summary=ranking.summary, loader=loader, sizer=sizer
    )


def is_feasible(problem: Problem, loader: Loader) -> bool:
    """Whether any place holds every constraint: the first one found is enough."""
    sites = _Sites(problem, Sizer(problem, loader), loader)
    open_places = [place for place in places(problem, loader.curves)[0] if sites.ruled_out(place) is None]
    open_places.sort(key=sites.bound)
    return any(isinstance(sites.size(place, None, is_contender=True), Sized) for place in open_places)


def ceiling(problem: Problem, place: Place) -> Ceiling | None:
    """The most replicas that the hard constraints allow at the place; None when nothing limits them."""
    return hard_ceiling(problem, place.option, place.site.power_cap_w)


class _Sites:
    """The contest of an ONNX problem's places."""

    def __init__(self, problem: Problem, sizer: Sizer, loader: Loader) -> None:
        self._problem = problem
        self._sizer = sizer
        self._loader = loader

    def label(self, place: Place) -> str:
        return place.site.label

    def rank(self, place: Place) -> int:
        return rank(place.site)

    def ruled_out(self, place: Place) -> Rejection | None:
        reason = self._sizer.fits(place.site)
        hard = None if reason is not None else ceiling(self._problem, place)
        if hard is None or self._sizer.fewest(place.site) <= hard.replicas:
            return reason
        sized = self._sizer.size(place.site, hard)  # refused without a simulation
        return sized if isinstance(sized, Rejection) else None

    def bound(self, place: Place) -> float:
        return bound(self._problem, place.option, place.site, self._sizer.fewest(place.site), self._sizer)

    def size(self, place: Place, worst: float | None, *, is_contender: bool) -> Sized | Rejection:
        hard = tighter_ceiling(self._problem, place.option, ceiling(self._problem, place), worst)
        return (self._sizer if is_contender else self._sizer.quick()).size(place.site, hard)

    def value(self, place: Place, sized: Sized) -> float:
        return achieved(self._problem, place.option, sized, self._loader)

    def tie_break(self, _place: Place, sized: Sized) -> tuple[int, float, bool, str]:
        return tie_break(self._problem, sized)

    def words(self, value: float) -> str:
        return objective_words(self._problem, value)
