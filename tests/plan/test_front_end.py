"""A server takes in only so many requests, however fast its device is."""

from dataclasses import replace

from infc.ir.plan import Infeasible, Plan
from infc.perf.server_cost import front_end_rps
from infc.plan import solve
from infc.plan.sizing import UTILIZATION_LIMIT

from .problems import network, problem

IMAGE_BYTES = 4.0 * (3 * 224 * 224 + 1000)
TINY = network(layers=2, gflops=0.001, million_parameters=0.01)


def test_a_tiny_model_needs_servers_for_its_requests() -> None:
    """One device could answer them all; the images do not get into one server."""
    decision = solve(problem(peak_rps=9000.0, model=TINY))
    assert isinstance(decision, Plan)
    taken_rps = decision.candidate.replicas * UTILIZATION_LIMIT * front_end_rps(IMAGE_BYTES).value
    assert taken_rps >= 9000.0
    assert any("by its server's front end" in reason for reason in decision.reasons)


def test_the_front_end_is_named_where_it_binds() -> None:
    """Too few devices allowed: the rejection says what one server takes in."""
    asked = problem(peak_rps=9000.0, model=TINY)
    decision = solve(replace(asked, limits=replace(asked.limits, max_accelerators=2)))
    assert isinstance(decision, Infeasible)
    assert any("one server's front end takes" in rejection.predicted for rejection in decision.rejections)


def test_larger_requests_are_fewer() -> None:
    """The interval holds the value, and all fall with the size of a request."""
    small, large = front_end_rps(1e3), front_end_rps(1e6)
    for each in (small, large):
        assert each.low < each.value < each.high
    assert large.value < 0.3 * small.value
