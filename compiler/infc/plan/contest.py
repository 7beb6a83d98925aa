"""The search that every planner shares: best bound first, stop when nothing that is left can be better.

Places are visited in order of the best value that their objective can take. A place is sized by simulation only while
its bound is lower than what has been reached, so most are ruled out by arithmetic. What comes first among `found` is
the best of all places: every other one was sized and is worse, has a bound that is worse, or breaks a constraint.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from infc.ir.plan import Rejection, SearchSummary
from infc.plan.ceiling import TIE

P = TypeVar("P")
S = TypeVar("S")
P_contra = TypeVar("P_contra", contravariant=True)


class Contest(Protocol[P_contra, S]):
    """What the search asks of a kind of problem: places to be at (P), and what sizing one yields (S)."""

    def label(self, place: P_contra) -> str:
        """The place's name, unique."""
        ...

    def rank(self, place: P_contra) -> int:
        """Order among places of equal value; lower goes first."""
        ...

    def ruled_out(self, place: P_contra) -> Rejection | None:
        """The constraint that arithmetic shows to be broken, None when none is."""
        ...

    def bound(self, place: P_contra) -> float:
        """A value of the objective that nothing at the place can beat; lower is better."""
        ...

    def size(self, place: P_contra, worst: float | None, *, is_contender: bool) -> S | Rejection:
        """The best that holds every constraint here and is no worse than `worst` (None: whatever it costs).

        A contender may become the choice and is judged in full; others only stand beside it.
        """
        ...

    def value(self, place: P_contra, sized: S) -> float:
        """The objective's value, on the scale of `bound`."""
        ...

    def tie_break(self, _place: P_contra, sized: S) -> tuple[int, float, bool, str]:
        """Order among equal values; total."""
        ...

    def words(self, value: float) -> str:
        """A value of the objective as a sentence says it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Found(Generic[P, S]):
    """A feasible place, what it was sized to, and the value it reaches."""

    place: P
    sized: S
    value: float


@dataclass(frozen=True, kw_only=True)
class Ranking(Generic[P, S]):
    """The best feasible places, best first, why each other one is out, and how the search went."""

    found: tuple[Found[P, S], ...]
    rejections: tuple[Rejection, ...]
    summary: SearchSummary


@dataclass(frozen=True, kw_only=True)
class _Queued(Generic[P]):
    """A place that waits for its turn: the best value it can reach, and its rank among equals."""

    lowest: float
    rank: int
    label: str
    place: P


def best_first(
    contest: Contest[P, S], places: Sequence[P], rejected: Sequence[Rejection], wanted: int, reach: float = math.inf
) -> Ranking[P, S]:
    """The best feasible place, and up to `wanted` in all. `rejected` are ruled out already.

    A place that is worse than the best one by more than the factor `reach` need not stand beside it: how much worse is
    not looked for.
    """
    rejections = list(rejected)
    by_bound = Counter(rejection.constraint for rejection in rejected)
    queue: list[_Queued[P]] = []
    for place in places:
        reason = contest.ruled_out(place)
        if reason is not None:
            rejections.append(reason)
            by_bound[reason.constraint] += 1
        else:
            label, lowest = contest.label(place), contest.bound(place)
            queue.append(_Queued(lowest=lowest, rank=contest.rank(place), label=label, place=place))
    queue.sort(key=lambda entry: (entry.lowest, entry.rank, entry.label))
    found: list[Found[P, S]] = []
    sized_places = 0

    def can_beat(entry: _Queued[P], other: Found[P, S]) -> bool:
        """Whether the place may turn out better: a lower value, or an equal one with no worse rank."""
        if entry.rank > contest.rank(other.place):
            return entry.lowest < other.value * (1 - TIE)
        return entry.lowest <= other.value * (1 + TIE)

    for entry in queue:
        is_contender = not found or can_beat(entry, found[0])
        is_wanted = len(found) < wanted or can_beat(entry, found[wanted - 1])
        if not is_contender and not (is_wanted and entry.lowest <= found[0].value * reach):
            rejections.append(_outbid(contest, entry.label, entry.lowest, found[0].value, "at least "))
            by_bound["objective"] += 1
            continue
        worst = found[wanted - 1].value if len(found) >= wanted else None
        if found and (worst is None or worst > found[0].value * reach):
            worst = found[0].value * reach
        sized = contest.size(entry.place, worst, is_contender=is_contender)
        sized_places += 1
        if isinstance(sized, Rejection):
            rejections.append(sized)
            continue
        found.append(Found(place=entry.place, sized=sized, value=contest.value(entry.place, sized)))
        found.sort(key=lambda f: (round(f.value, 9), contest.tie_break(f.place, f.sized)))
    for loser in found[wanted:]:
        rejections.append(_outbid(contest, contest.label(loser.place), loser.value, found[0].value, ""))
    return Ranking(
        found=tuple(found[:wanted]),
        rejections=tuple(sorted(rejections, key=lambda r: (r.constraint, r.candidate))),
        summary=SearchSummary(
            considered=len(places) + len(rejected), simulated=sized_places, pruned=dict(sorted(by_bound.items()))
        ),
    )


def _outbid(contest: Contest[P, S], label: str, value: float, best: float, prefix: str) -> Rejection:
    return Rejection(
        candidate=label,
        constraint="objective",
        predicted=prefix + contest.words(value),
        limit=contest.words(best),
    )
