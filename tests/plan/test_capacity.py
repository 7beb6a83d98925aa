"""Spare capacity: what redundancy costs, what an update does to the SLO, how a promised availability is reached."""

from dataclasses import replace

import pytest

from infc.ir.plan import Plan
from infc.ir.problem import HardwareOption, Problem
from infc.plan import solve
from infc.plan.capacity import availability, redundancy_usd_per_month, rollout, share_up
from infc.plan.capacity_words import capacity_sentences
from tests.plan.problems import LIMITS, T4, priced, problem

ON_T4 = (priced(T4, 0.5),)


def planned(asked: Problem) -> Plan:
    """The plan of a feasible problem."""
    decision = solve(asked)
    assert isinstance(decision, Plan), decision
    return decision


@pytest.fixture(scope="module")
def alone() -> tuple[Problem, Plan]:
    """One replica without redundancy, rented by the hour."""
    asked = problem(options=ON_T4)
    return asked, planned(asked)


def test_a_rented_device_is_spare_for_minutes(alone: tuple[Problem, Plan]) -> None:
    """On demand a surge replica costs while it lasts, and the SLO holds."""
    how = rollout(*alone)
    assert (how.max_surge, how.max_unavailable, how.keeps_slo, how.usd_per_hour) == (1, 0, True, 0.5)


def test_no_surge_where_no_device_is_spare(alone: tuple[Problem, Plan]) -> None:
    """A limit on devices or power, or devices that are owned, leave no room: the one replica goes away meanwhile."""
    asked, plan = alone
    full = replace(asked, limits=replace(LIMITS, max_accelerators=1))
    hot = replace(asked, limits=replace(LIMITS, max_power_w=100.0))
    price = ON_T4[0].price
    assert price is not None
    kept = replace(asked, options=(HardwareOption(hardware=T4, price=replace(price, commitment="3y")),))
    for tight in (full, hot, kept):
        how = rollout(tight, plan)
        assert (how.max_surge, how.max_unavailable, how.keeps_slo) == (0, 1, False)
        assert any("no device is spare" in sentence for sentence in capacity_sentences(tight, plan))


def test_an_update_within_the_redundancy_keeps_the_slo() -> None:
    """Without a spare device a redundant replica makes room, and no further one may be lost meanwhile."""
    asked = problem(options=ON_T4, limits=replace(LIMITS, redundancy=1, max_accelerators=2))
    how = rollout(asked, planned(asked))
    assert (how.max_surge, how.max_unavailable, how.keeps_slo, how.spare_lost) == (0, 1, True, 0)


def test_a_surge_that_the_spec_asks_for_is_counted() -> None:
    """Its device counts against max_accelerators and max_power, so that the update can really happen."""
    one = replace(LIMITS, surge=1, unavailable=0)
    assert planned(problem(options=ON_T4, limits=replace(one, max_accelerators=2))).candidate.replicas == 1
    assert not isinstance(solve(problem(options=ON_T4, limits=replace(one, max_accelerators=1))), Plan)
    assert not isinstance(solve(problem(options=ON_T4, limits=replace(one, max_power_w=100.0))), Plan)


def test_redundancy_is_priced() -> None:
    """One redundant T4 at $0.50/h costs $365 a month; the sentence says so."""
    asked = problem(options=ON_T4, limits=replace(LIMITS, redundancy=1))
    plan = planned(asked)
    assert redundancy_usd_per_month(asked, plan, 1) == pytest.approx(0.5 * 730)
    assert redundancy_usd_per_month(asked, plan, 0) == 0.0
    assert any("redundancy 1 costs $365/month" in sentence for sentence in capacity_sentences(asked, plan))


def test_availability_says_its_assumption_and_the_redundancy_that_reaches_it(alone: tuple[Problem, Plan]) -> None:
    """One replica at 99.5% misses 99.9%; a second one reaches it, and its price is said."""
    asked, plan = replace(alone[0], availability=0.999), alone[1]
    found = availability(asked, plan)
    assert found is not None
    assert (found.reached, found.redundancy_needed) == (0.995, 1)
    words = next(s for s in capacity_sentences(asked, plan) if s.startswith("availability"))
    assert "(assumed)" in words
    assert "constraints.redundancy 1 would reach it for $365/month" in words
    assert availability(alone[0], plan) is None


def test_share_up_is_the_binomial_distribution() -> None:
    """With as many spare ones as replicas never less than alone; two of three by hand."""
    assert share_up(2, 1, 0.9) == pytest.approx(0.9**3 + 3 * 0.9**2 * 0.1)
    assert share_up(4, 0, 0.99) == pytest.approx(0.99**4)
    assert share_up(4, 2, 0.99) > share_up(4, 1, 0.99) > share_up(4, 0, 0.99)
