"""Distributions of a plan: they agree with its percentiles, never fall, and its layers add up to its mean."""

import pytest

from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem
from infc.plan import solve
from infc.plan.distribution import behaviour
from tests.plan.llm.problems import problem as llm_problem
from tests.plan.problems import problem


def agrees(asked: AnyProblem, plan: Plan) -> None:
    """The distribution of each metric goes through the plan's percentiles with their intervals."""
    found = behaviour(asked, plan)
    assert found is not None
    for distribution in found.distributions:
        tokens = plan.estimate.tokens
        known = {"ttft": tokens.ttft_s, "tpot": tokens.tpot_s} if tokens is not None else {}
        percentiles = known.get(distribution.metric, plan.estimate.e2e_s)
        points = dict(distribution.points)
        for percent in (50.0, 90.0, 95.0, 99.0):
            expected = percentiles[f"p{percent:g}"]
            for end in ("value", "low", "high"):
                assert getattr(points[percent], end) == pytest.approx(getattr(expected, end)), (percent, end)
        values = [interval.value for _, interval in distribution.points]
        assert values == sorted(values)
    mean_s = plan.estimate.e2e_s["mean"].value
    assert sum(layer.seconds for layer in found.layers) == pytest.approx(mean_s)
    assert all(layer.seconds >= 0.0 for layer in found.layers)


def test_an_onnx_plan() -> None:
    """Of Triton's batcher: transport, queue, and compute with the copies before and behind it."""
    asked = problem()
    plan = solve(asked)
    assert isinstance(plan, Plan)
    agrees(asked, plan)


@pytest.mark.slow
def test_a_language_model() -> None:
    """Of vLLM's scheduler: TTFT, TPOT and end to end; queue, prefill and decode."""
    asked = llm_problem()
    plan = solve(asked)
    assert isinstance(plan, Plan)
    agrees(asked, plan)
