"""The frontier: every allowed device, what breaks a limit marked, and only undominated points efficient."""

from dataclasses import replace

from infc.ir.plan import Plan
from infc.plan import solve
from infc.plan.frontier import frontiers
from tests.plan.problems import LIMITS, problem


def test_no_point_beats_an_efficient_one() -> None:
    """Nothing that breaks no limit is at once cheaper and faster than an efficient point; the plan's point is there."""
    asked = problem()
    plan = solve(asked)
    assert isinstance(plan, Plan)
    points = frontiers(asked, plan)[0].points
    allowed = [p for p in points if not p.broken and p.usd_per_month is not None]
    efficient = [p for p in points if p.is_efficient]
    assert efficient
    for point in efficient:
        assert not any(
            (o.usd_per_month or 0) < (point.usd_per_month or 0) and o.judged_s < point.judged_s for o in allowed
        )
    assert [p.candidate for p in points if p.is_chosen] == [plan.candidate.label]


def test_points_beyond_a_limit_say_which() -> None:
    """With one accelerator allowed every point with more of them names the limit."""
    asked = problem(limits=replace(LIMITS, max_accelerators=1))
    for point in frontiers(asked, None)[0].points:
        assert ("max_accelerators" in point.broken) == (point.replicas > 1)
