"""A team's thresholds are judged exactly: a plan at the threshold keeps it, one beyond it does not."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.diag import Span
from infc.ir.plan import Plan
from infc.ir.policy import PolicyAction, PolicyFinding, Threshold
from infc.ir.problem import HardwareOption, Problem
from infc.plan import solve
from infc.plan.policy import judge
from tests.plan.problems import LIMITS, T4, priced, problem

SPAN = Span(path="infc-policy.yaml", line=2, column=5, end_line=2, end_column=9)
ASKED = problem(options=(priced(T4, 0.5),))


@pytest.fixture(scope="module")
def plan() -> Plan:
    """One T4 at $0.50/h."""
    decision = solve(ASKED)
    assert isinstance(decision, Plan)
    return decision


def threshold(
    rule: str, limit: float | str, *, action: PolicyAction = "warn", specs: tuple[str, ...] | None = None
) -> Threshold:
    """A threshold at a place."""
    return Threshold(rule=rule, limit=limit, written=str(limit), action=action, specs=specs, because=None, span=SPAN)


def found(rule: str, limit: float | str, plan: Plan, asked: Problem = ASKED) -> tuple[PolicyFinding, ...]:
    """What one threshold finds."""
    return judge([threshold(rule, limit)], asked, plan, "search/encoder.infc.yaml")


def figure(rule: str, plan: Plan) -> float:
    """The plan's own value of what the rule is about."""
    estimate, cost = plan.estimate, plan.estimate.cost
    assert cost is not None
    assert estimate.power_w is not None
    latency = estimate.e2e_s["p99"]
    return {
        "max_cost": cost.usd_per_hour,
        "max_cost_per_million_requests": cost.usd_per_million_requests,
        "max_cost_per_inference": cost.usd_per_million_requests / 1e6,
        "min_utilization": estimate.utilization,
        "max_utilization": estimate.utilization,
        "max_memory": estimate.memory.total_bytes / T4.memory_bytes,
        "max_power": estimate.power_w.value,
        "max_interval_width": (latency.high - latency.low) / latency.value,
    }[rule]


RULES = (
    "max_cost",
    "max_cost_per_million_requests",
    "max_cost_per_inference",
    "min_utilization",
    "max_utilization",
    "max_memory",
    "max_power",
    "max_interval_width",
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(RULES), st.floats(0.2, 5.0))
def test_a_threshold_is_violated_exactly_when_the_plan_is_beyond_it(plan: Plan, rule: str, factor: float) -> None:
    """The limit itself is kept; any other is violated on the side that its name says."""
    value = figure(rule, plan)
    assert found(rule, value, plan) == ()
    is_beyond = factor > 1 if rule.startswith("min_") else factor < 1
    outcome = [finding.outcome for finding in found(rule, value * factor, plan)]
    assert outcome == (["violated"] if is_beyond and abs(factor - 1) > 1e-6 else [])


def test_a_basis_is_at_least_what_the_policy_says(plan: Plan) -> None:
    """An analytic prediction is not calibrated; anything is analytic."""
    assert [f.predicted for f in found("min_basis", "calibrated", plan)] == ["analytic"]
    assert found("min_basis", "analytic", plan) == ()


def test_redundancy_is_a_threshold_too(plan: Plan) -> None:
    """A repository may want one replica to spare everywhere."""
    assert found("min_redundancy", 1, plan)
    spare = replace(ASKED, limits=replace(LIMITS, redundancy=1))
    assert found("min_redundancy", 1, plan, spare) == ()


def test_only_the_specs_of_a_rule_are_judged(plan: Plan) -> None:
    """Patterns are of paths from the policy file; `*` matches slashes."""
    for pattern, is_meant in (("search/*", True), ("*", True), ("*.infc.yaml", True), ("production/*", False)):
        rule = threshold("max_cost", 0.1, specs=(pattern,))
        assert bool(judge([rule], ASKED, plan, "search/encoder.infc.yaml")) == is_meant


def test_only_a_violation_that_is_to_fail_fails(plan: Plan) -> None:
    """A warning warns, and what cannot be judged never fails a plan."""
    warn, fail = threshold("max_cost", 0.1), threshold("max_cost", 0.1, action="fail")
    assert [f.is_failure for f in judge([warn, fail], ASKED, plan, "a.infc.yaml")] == [False, True]
    unpriced = replace(plan, estimate=replace(plan.estimate, cost=None))
    asked = replace(ASKED, options=(HardwareOption(hardware=T4, price=None),))
    unknown = judge([fail], asked, unpriced, "a.infc.yaml")
    assert [(f.outcome, f.is_failure, f.predicted) for f in unknown] == [("unknown", False, "no price is known")]


def test_tokens_are_no_matter_of_a_model_without_them(plan: Plan) -> None:
    """A repository-wide rule about tokens says nothing of an encoder."""
    assert found("max_cost_per_million_tokens", 0.001, plan) == ()
    assert found("min_tokens_per_dollar", 1e12, plan) == ()
