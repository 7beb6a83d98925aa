"""Planning language models: hard constraints hold, relaxing never hurts, order does not matter."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.candidate import ContinuousBatching
from infc.ir.interval import Interval
from infc.ir.plan import Decision, Infeasible, Plan
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, LlmProblem, Origin
from infc.plan.llm.explain import average_replicas
from infc.plan.llm.load import TokenLoaders, targets_of
from infc.plan.llm.sizing import LlmSizer
from infc.plan.llm.solve import solve_llm
from infc.plan.llm.space import sites
from infc.plan.llm.why import why_llm
from tests.plan.llm.problems import LIMITS, OPTIONS, SCALE, model, priced, problem, target

FEW = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def solved(asked: LlmProblem) -> Decision:
    """The decision on short simulations."""
    return solve_llm(asked, scale=SCALE)


def planned(asked: LlmProblem) -> Plan:
    """The plan of a feasible problem."""
    decision = solved(asked)
    assert isinstance(decision, Plan), decision
    return decision


@st.composite
def problems(draw: st.DrawFn) -> LlmProblem:
    """Specs from loose to impossible."""
    limits = replace(
        LIMITS,
        max_accelerators=draw(st.sampled_from([None, 2, 4])),
        max_usd_per_hour=draw(st.sampled_from([None, 2.5, 9.0])),
        max_power_w=draw(st.sampled_from([None, 800.0])),
        max_memory_bytes=draw(st.sampled_from([None, 40e9])),
        redundancy=draw(st.sampled_from([0, 1])),
    )
    return problem(
        ttft_ms=draw(st.sampled_from([None, 150.0, 900.0])),
        tpot_ms=draw(st.sampled_from([12.0, 60.0])),
        e2e_ms=draw(st.sampled_from([None, 4000.0])),
        peak_rps=draw(st.sampled_from([1.0, 12.0])),
        limits=limits,
        objective=draw(st.sampled_from(["cost", "latency", "energy"])),
    )


@FEW
@given(problems())
def test_the_choice_meets_every_constraint(asked: LlmProblem) -> None:
    """A plan keeps every percentile, memory, money, power and count of devices within its limits."""
    decision = solved(asked)
    if isinstance(decision, Infeasible):
        assert decision.rejections
        return
    limits, estimate, candidate = asked.limits, decision.estimate, decision.candidate
    assert estimate.tokens is not None
    seconds = {"ttft": estimate.tokens.ttft_s, "tpot": estimate.tokens.tpot_s, "e2e": estimate.e2e_s}
    for metric, targets in targets_of(asked).items():
        assert all(seconds[metric][t.label].value <= t.limit_s for t in targets)
    assert candidate.replicas > limits.redundancy
    assert limits.max_accelerators is None or decision.accelerators <= limits.max_accelerators
    assert estimate.cost is not None
    assert limits.max_usd_per_hour is None or estimate.cost.usd_per_hour <= limits.max_usd_per_hour * (1 + 1e-9)
    device = next(o.hardware for o in asked.options if o.hardware.id == candidate.hardware_id)
    assert limits.max_power_w is None or decision.accelerators * (device.tdp_w or 0) <= limits.max_power_w
    assert estimate.memory.total_bytes <= min(device.memory_bytes * 1.08, limits.max_memory_bytes or np.inf)
    assert estimate.tokens.kv_cache_tokens >= asked.tokens.longest
    assert isinstance(candidate.batching, ContinuousBatching)
    assert candidate.batching.max_num_seqs <= candidate.batching.max_num_batched_tokens


@FEW
@given(problems(), st.floats(1.1, 4.0))
def test_relaxing_the_slo_keeps_a_spec_feasible(asked: LlmProblem, factor: float) -> None:
    """A looser percentile never turns a feasible spec infeasible, and never costs more."""
    before = solved(asked)
    if isinstance(before, Infeasible):
        return
    ttft, tpot, e2e = (
        tuple(replace(t, limit_s=t.limit_s * factor) for t in targets)
        for targets in (asked.ttft, asked.tpot, asked.e2e)
    )
    looser = replace(asked, ttft=ttft, tpot=tpot, e2e=e2e)
    after = planned(looser)
    if asked.objective == "cost":
        assert after.estimate.cost is not None
        assert before.estimate.cost is not None
        assert after.estimate.cost.usd_per_hour <= before.estimate.cost.usd_per_hour * (1 + 1e-9)


@FEW
@given(problems(), st.permutations(OPTIONS))
def test_order_of_options_does_not_matter(asked: LlmProblem, order: tuple[object, ...]) -> None:
    """The same options in another order give the same decision, rejections and counts included."""
    assert solved(replace(asked, options=tuple(order))) == solved(asked)  # type: ignore[arg-type]


def test_places_are_counted_by_what_ruled_them_out() -> None:
    """Every place was simulated or ruled out by a named bound: nothing is lost."""
    plan = planned(problem())
    summary = plan.search
    assert summary.considered == 12
    assert summary.simulated + sum(summary.pruned.values()) == summary.considered
    assert summary.simulations > 0


@pytest.mark.parametrize("id", ["l4", "l40s", "h100-sxm"])
def test_the_bound_on_replicas_is_never_above_what_a_simulation_needs(id: str) -> None:
    """What arithmetic says to be the fewest replicas is no more than the fewest that hold in a simulation."""
    asked = problem(peak_rps=25.0, options=(priced(id),))
    sizer = LlmSizer(asked, TokenLoaders(asked, scale=0.2))
    for site in sites(asked)[0]:
        if sizer.ruled_out(site) is not None or sizer.fewest(site) == 1:
            continue
        trial = sizer.quick_trial(site, sizer.fewest(site) - 1)
        assert trial is None or trial.ratio > 0.95, site.label


def test_a_model_that_does_not_fit_one_device_is_divided() -> None:
    """16 GB of weights do not fit a T4: tensor parallelism holds them, or nothing does."""
    plan = planned(problem(ttft_ms=9e3, tpot_ms=200.0, peak_rps=0.5, options=(priced("t4"),)))
    assert plan.candidate.tensor_parallel > 1
    rejections = {rejection.candidate: rejection for rejection in plan.rejections}
    assert rejections["fp16/t4/tp1"].constraint == "memory"


def test_a_lower_precision_is_only_taken_where_the_spec_names_it_or_a_goal_judges_it() -> None:
    """By default the checkpoint's own precision; FP8 when named, and every one that runs where accuracy has a goal."""
    labels = {site.precision for site in sites(problem())[0]}
    assert labels == {Precision.BF16}
    named = problem(limits=replace(LIMITS, precisions=(Precision.FP8,)), origins={"constraints.precision": Origin.USER})
    assert {site.precision for site in sites(named)[0]} == {Precision.FP8}
    assert any(site.kv_precision is Precision.FP8 for site in sites(named)[0])
    goal = AccuracyGoal(dataset="d.npz", metric="top1", floor=0.5, max_drop=None, confidence=0.95)
    judged = {site.precision for site in sites(problem(accuracy=goal))[0]}
    assert judged == {Precision.BF16, Precision.FP8, Precision.INT8, Precision.INT4}
    failed = problem(accuracy=goal, evidence=(_evidence(Verdict.FAIL),))
    assert {site.precision for site in sites(failed)[0]} == judged - {Precision.FP8}
    refused = replace(named, accuracy=goal, evidence=(_evidence(Verdict.FAIL),))
    found, rejected = sites(refused)
    assert found == ()
    assert {r.constraint for r in rejected} == {"accuracy"}


def test_redundant_replicas_come_on_top() -> None:
    """With redundancy 1 there is one more replica than the load needs."""
    alone = planned(problem(options=(priced("l40s"),)))
    safe = planned(problem(options=(priced("l40s"),), limits=replace(LIMITS, redundancy=1)))
    assert safe.candidate.replicas == alone.candidate.replicas + 1


def test_the_plan_says_what_an_answer_by_averages_would_have_missed() -> None:
    """Where queueing and chance ask for more replicas than the mean does, the difference is stated."""
    asked = problem(tpot_ms=15.0, peak_rps=500.0, options=(priced("h100-sxm"),))
    plan = planned(asked)
    site = next(s for s in sites(asked)[0] if plan.candidate.label.startswith(s.label + "/"))
    sizer = LlmSizer(asked, TokenLoaders(asked, scale=SCALE))
    said = [reason for reason in plan.reasons if reason.startswith("by averages")]
    assert bool(said) == (average_replicas(asked, site, sizer) < plan.candidate.replicas)
    assert plan.candidate.replicas > 1


def test_an_impossible_target_is_loosened_to_one_that_holds() -> None:
    """The relaxation names the target; with it the spec is feasible."""
    asked = problem(tpot_ms=2.0, options=(priced("l40s"), priced("h100-sxm")))
    decision = solved(asked)
    assert isinstance(decision, Infeasible)
    relaxed = next(r for r in decision.relaxations if r.path.startswith("slo.tpot"))
    number, unit = relaxed.needed.removeprefix("tpot p95 ").split()
    assert unit == "ms"
    assert isinstance(solved(replace(asked, tpot=target(95.0, float(number) * 1.02))), Plan)


def test_a_budget_too_small_is_relaxed_by_money_or_rate() -> None:
    """When max_cost binds, the relaxations say how much money, or what rate, would do."""
    decision = solved(problem(peak_rps=400.0, limits=replace(LIMITS, max_usd_per_hour=2.5)))
    assert isinstance(decision, Infeasible)
    assert {"constraints.max_cost", "workload.peak"} <= set(decision.binding)


def _evidence(verdict: Verdict) -> AccuracyEvidence:
    value = 0.8 if verdict is Verdict.PASS else 0.3
    return AccuracyEvidence(
        model_digest=model().digest,
        precision=Precision.FP8,
        recipe_digest="r",
        subject="lowered",
        dataset_digest="d",
        metric="top1",
        samples=2000,
        confidence=0.95,
        reference=0.8,
        value=Interval(value=value, low=value - 0.01, high=value + 0.01),
        drop=Interval.exact(0.8 - value),
        floor=0.5,
        max_drop=None,
        verdict=verdict,
        samples_needed=None,
    )


def test_why_answers_for_places_settings_and_what_was_not_tried() -> None:
    """One line for each constraint, the reason where there is no estimate, nothing for what is unknown."""
    asked = problem(options=(priced("l40s"), priced("t4")))
    exact = why_llm(asked, "bf16/l40s/tp1/s32/t2048")
    assert exact is not None
    assert {check.constraint for check in exact.checks} == {"slo.ttft.p95", "slo.tpot.p95", "memory"}
    assert exact.candidate is not None
    assert exact.candidate.label == "bf16/l40s/tp1/s32/t2048"
    too_large = why_llm(asked, "fp16/t4/tp1")
    assert too_large is not None
    assert [check.constraint for check in too_large.checks] == ["memory"]
    other = why_llm(asked, "fp8/l40s")
    assert other is not None
    assert "does not name fp8" in other.checks[0].predicted
    assert why_llm(asked, "bf16/b200") is None
    assert why_llm(asked, "nonsense") is None
