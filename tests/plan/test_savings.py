"""Before and after: the locked deployment and the plan at the prices of today's books."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.plan import Plan
from infc.plan import solve
from infc.plan.savings import Locked, savings
from infc.report.plan_review import savings_words
from tests.plan.problems import L4, LIMITS, T4, priced, problem

ASKED = problem(options=(priced(T4, 0.5), priced(L4, 0.8)), limits=replace(LIMITS, redundancy=1))


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Two T4, one of them redundant."""
    decision = solve(ASKED)
    assert isinstance(decision, Plan)
    return decision


def test_the_locked_deployment_is_priced_today(plan: Plan) -> None:
    """Three L4 that were $0.90/h when locked cost $0.80/h each now; the year is twelve months."""
    before = replace(plan.candidate, hardware_id="l4", replicas=3)
    saved = savings(ASKED, plan, Locked(candidate=before, usd_per_hour=2.7, power_w=150.0), ASKED.options[1])
    assert saved.before_usd_per_month == pytest.approx(3 * 0.8 * 730)
    assert saved.locked_usd_per_month == pytest.approx(2.7 * 730)
    assert saved.after_usd_per_month == pytest.approx(2 * 0.5 * 730)
    assert saved.usd_per_year == pytest.approx(12 * 1.4 * 730)
    assert saved.is_worth_saying
    assert savings_words(saved) == "saves $1,022/month, $12,264 a year (58%)"


def test_nothing_is_said_where_nothing_changed(plan: Plan) -> None:
    """The same deployment at the same price saves nothing; at another price it is worth saying."""
    option = ASKED.options[0]
    same = savings(ASKED, plan, Locked(candidate=plan.candidate, usd_per_hour=1.0, power_w=None), option)
    assert same.usd_per_month == pytest.approx(0.0)
    assert not same.is_worth_saying
    assert savings(
        ASKED, plan, Locked(candidate=plan.candidate, usd_per_hour=1.4, power_w=None), option
    ).is_worth_saying


def test_a_device_without_a_price_saves_nothing_that_can_be_said(plan: Plan) -> None:
    """No figure is made up for a locked device that no book prices now."""
    saved = savings(ASKED, plan, Locked(candidate=plan.candidate, usd_per_hour=None, power_w=None), None)
    assert saved.usd_per_month is None
    assert savings_words(saved) == ""


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 50), st.floats(0.01, 50.0))
def test_savings_are_consistent(plan: Plan, replicas: int, usd: float) -> None:
    """What is saved is before less after, by month, by year and as a share; dearer plans save less than nothing."""
    before = replace(plan.candidate, replicas=replicas)
    saved = savings(ASKED, plan, Locked(candidate=before, usd_per_hour=None, power_w=None), priced(T4, usd))
    assert saved.before_usd_per_month == pytest.approx(replicas * usd * 730)
    assert saved.usd_per_month is not None
    assert saved.usd_per_year == pytest.approx(12 * saved.usd_per_month)
    assert saved.share == pytest.approx(saved.usd_per_month / (replicas * usd * 730))
    assert (saved.usd_per_month > 0) == (replicas * usd > 1.0)
