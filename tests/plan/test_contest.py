"""The best-first search on places that are plain numbers: exact, and honest about what it looked at."""

import random
from dataclasses import dataclass, field

import pytest

from infc.ir.plan import Rejection
from infc.plan.contest import best_first


@dataclass(frozen=True)
class Place:
    """A place with its bound and what it turns out to be; `value` None is infeasible, `bound` None ruled out."""

    name: str
    bound: float | None
    value: float | None


@dataclass
class Numbers:
    """A contest over such places that remembers which ones were sized."""

    sized: list[str] = field(default_factory=list)

    def label(self, place: Place) -> str:
        """Its name."""
        return place.name

    def rank(self, _place: Place) -> int:
        """All are equal."""
        return 0

    def ruled_out(self, place: Place) -> Rejection | None:
        """Those without a bound."""
        reason = Rejection(candidate=place.name, constraint="memory", predicted="", limit="")
        return reason if place.bound is None else None

    def bound(self, place: Place) -> float:
        """As given."""
        return place.bound or 0.0

    def size(self, place: Place, _worst: float | None, *, is_contender: bool) -> float | Rejection:
        """As given."""
        self.sized.append(place.name)
        assert isinstance(is_contender, bool)
        lost = Rejection(candidate=place.name, constraint="ttft", predicted="", limit="")
        return lost if place.value is None else place.value

    def value(self, _place: Place, sized: float) -> float:
        """What it was sized to."""
        return sized

    def tie_break(self, place: Place, _sized: float) -> tuple[int, float, bool, str]:
        """By name."""
        return (0, 0.0, False, place.name)

    def words(self, value: float) -> str:
        """The number."""
        return f"{value:g}"


@pytest.mark.parametrize("seed", range(20))
def test_the_first_is_the_best_of_all_whatever_the_order(seed: int) -> None:
    """No place is better than the first, though most are never sized; every place is counted once."""
    chance = random.Random(seed)
    places = [_random_place(chance, index) for index in range(60)]
    contest = Numbers()
    ranking = best_first(contest, places, (), wanted=3)
    values = sorted(p.value for p in places if p.bound is not None and p.value is not None)
    assert [found.value for found in ranking.found] == values[:3]
    assert len(contest.sized) < 60
    assert ranking.summary.simulated == len(contest.sized)
    assert ranking.summary.simulated + sum(ranking.summary.pruned.values()) == ranking.summary.considered == 60
    assert len(ranking.found) + len(ranking.rejections) == 60
    shuffled = places.copy()
    chance.shuffle(shuffled)
    assert best_first(Numbers(), shuffled, (), wanted=3) == ranking


def test_places_far_behind_need_not_be_sized() -> None:
    """With a reach of 1.5, a place at twice the best is rejected by its bound although another is wanted."""
    contest = Numbers()
    places = [Place("a", 1.0, 1.0), Place("b", 1.2, 1.4), Place("c", 2.0, 2.0)]
    ranking = best_first(contest, places, (), wanted=3, reach=1.5)
    assert contest.sized == ["a", "b"]
    assert [(r.candidate, r.predicted, r.limit) for r in ranking.rejections] == [("c", "at least 2", "1")]


def _random_place(chance: random.Random, index: int) -> Place:
    bound = chance.uniform(1.0, 9.0)
    value = bound * chance.uniform(1.0, 1.4) if chance.random() < 0.9 else None
    return Place(f"place{index}", None if chance.random() < 0.2 else bound, value)
