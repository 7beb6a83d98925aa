"""The search over the places of a language model, sized by simulating vLLM's scheduler."""

from dataclasses import dataclass
from typing import TypeAlias

from infc.ir.plan import Rejection, SearchSummary
from infc.ir.problem import LlmProblem
from infc.plan.ceiling import Ceiling, hard_ceiling, tighter_ceiling
from infc.plan.contest import Found as FoundAt
from infc.plan.contest import best_first
from infc.plan.llm.load import TokenLoaders
from infc.plan.llm.objective import achieved, bound, tie_break
from infc.plan.llm.site import LlmSite
from infc.plan.llm.sizing import LlmSized, LlmSizer
from infc.plan.llm.space import sites
from infc.plan.words import objective_text

Found: TypeAlias = FoundAt[LlmSite, LlmSized]
REACH = 1.3
"""A place that costs more than this many times the best one is no alternative worth simulating."""


@dataclass(frozen=True, kw_only=True)
class LlmOutcome:
    """The best feasible sites, best first, and why each other one is out. `sizer` keeps the simulations."""

    found: tuple[Found, ...]
    rejections: tuple[Rejection, ...]
    summary: SearchSummary
    sizer: LlmSizer


def search(problem: LlmProblem, wanted: int, loaders: TokenLoaders, *, is_quick: bool = False) -> LlmOutcome:
    """The best feasible site, and up to `wanted` in all; sites whose bound is no better are rejected unsized.

    A short run orders the sites; the best one is then judged on every full draw of the traffic. Where it needs more
    replicas there, the search goes on with that known, until what comes first was judged in full: simulations are
    remembered, so only what is new costs time. With `is_quick` the short run is enough: to look for what a changed spec
    would lead to.
    """
    sizer = LlmSizer(problem, loaders)
    every, rejected = sites(problem)
    contest = Sites(problem, sizer)
    ranking = best_first(contest, every, rejected, wanted, REACH)
    while not is_quick and ranking.found and not ranking.found[0].sized.is_full:
        sizer.confirm(ranking.found[0].sized)
        ranking = best_first(contest, every, rejected, wanted, REACH)
    return LlmOutcome(found=ranking.found, rejections=ranking.rejections, summary=ranking.summary, sizer=sizer)


def ceiling(problem: LlmProblem, site: LlmSite) -> Ceiling | None:
    """The most replicas that the hard constraints allow at the site; None when nothing limits them."""
    return hard_ceiling(problem, site.option, site.power_cap_w, devices=site.devices)


class Sites:
    """The contest of a language model's sites."""

    def __init__(self, problem: LlmProblem, sizer: LlmSizer) -> None:
        self._problem = problem
        self._sizer = sizer

    def label(self, site: LlmSite) -> str:
        """The site's name."""
        return site.label

    def rank(self, site: LlmSite) -> int:
        """Order among sites of equal value."""
        return site.rank

    def ruled_out(self, site: LlmSite) -> Rejection | None:
        """What arithmetic shows to be broken."""
        reason = self._sizer.ruled_out(site)
        hard = None if reason is not None else ceiling(self._problem, site)
        return reason if hard is None else self._sizer.beyond(site, hard)

    def bound(self, site: LlmSite) -> float:
        """What nothing at the site can beat."""
        return bound(self._problem, site, self._sizer)

    def size(self, site: LlmSite, worst: float | None, *, is_contender: bool) -> LlmSized | Rejection:
        """The fewest replicas on short runs."""
        devices = site.devices
        hard = tighter_ceiling(self._problem, site.option, ceiling(self._problem, site), worst, devices=devices)
        return self._sizer.size(site, hard)

    def value(self, site: LlmSite, sized: LlmSized) -> float:
        """The objective's value."""
        return achieved(self._problem, site, sized)

    def tie_break(self, site: LlmSite, sized: LlmSized) -> tuple[int, float, bool, str]:
        """Order among equal values."""
        return tie_break(site, sized)

    def words(self, value: float) -> str:
        """The objective's value in words."""
        return objective_text(self._problem.objective, value)
