"""The planner as a whole: hard constraints hold, relaxing never hurts, order and hashing do not matter."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.candidate import DynamicBatching
from infc.ir.interval import Basis, Interval
from infc.ir.plan import Infeasible, Plan
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, LatencyTarget, Problem
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.plan import solve
from infc.plan.load import loader_for
from infc.plan.objective import achieved, tie_break
from infc.plan.search import ceiling, search
from infc.plan.sizing import Sized, Sizer
from infc.plan.space import places
from tests.plan.problems import H100, L4, LIMITS, OPTIONS, T4, network, priced, problem

FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Specs from loose to impossible."""
    limits = replace(
        LIMITS,
        max_accelerators=draw(st.sampled_from([None, 1, 3])),
        max_usd_per_hour=draw(st.sampled_from([None, 0.6, 2.5])),
        redundancy=draw(st.sampled_from([0, 1])),
    )
    return problem(
        p99_ms=draw(st.sampled_from([0.5, 4.0, 30.0])),
        peak_rps=draw(st.sampled_from([50.0, 900.0, 6000.0])),
        limits=limits,
        objective=draw(st.sampled_from(["cost", "energy"])),
    )


@FEW
@given(problems())
def test_the_choice_meets_every_constraint(asked: Problem) -> None:
    """A plan keeps latency, memory, money and count of accelerators within the limits; else there is no plan."""
    decision = solve(asked)
    if isinstance(decision, Infeasible):
        assert decision.rejections
        return
    limits, estimate = asked.limits, decision.estimate
    for target in asked.latency:
        assert estimate.e2e_s[target.label].value <= target.limit_s
    assert decision.candidate.replicas > limits.redundancy
    assert limits.max_accelerators is None or decision.accelerators <= limits.max_accelerators
    assert estimate.cost is not None
    assert limits.max_usd_per_hour is None or estimate.cost.usd_per_hour <= limits.max_usd_per_hour * (1 + 1e-9)
    device = next(o.hardware for o in asked.options if o.hardware.id == decision.candidate.hardware_id)
    assert estimate.memory.total_bytes <= device.memory_bytes


@FEW
@given(problems(), st.floats(1.05, 4.0))
def test_relaxing_the_slo_keeps_a_spec_feasible(asked: Problem, factor: float) -> None:
    """A looser percentile never turns a feasible spec infeasible, and never costs more."""
    before = solve(asked)
    if isinstance(before, Infeasible):
        return
    looser = replace(asked, latency=tuple(replace(t, limit_s=t.limit_s * factor) for t in asked.latency))
    after = solve(looser)
    assert isinstance(after, Plan)
    if asked.objective == "cost":
        assert after.estimate.cost is not None
        assert before.estimate.cost is not None
        assert after.estimate.cost.usd_per_hour <= before.estimate.cost.usd_per_hour * (1 + 1e-9)


@FEW
@given(problems(), st.permutations(OPTIONS))
def test_order_of_options_does_not_matter(asked: Problem, order: tuple[object, ...]) -> None:
    """The same options in another order give the same decision, rejections included."""
    assert solve(replace(asked, options=tuple(order))) == solve(asked)  # type: ignore[arg-type]


def test_the_cheapest_device_that_holds_is_chosen_with_the_default_precision() -> None:
    """INT8 gains nothing where one T4 carries the load in FP16."""
    plan = _plan(problem())
    assert (plan.candidate.hardware_id, plan.candidate.precision) == ("t4", Precision.FP16)
    assert any("unquantised precision goes first" in reason for reason in plan.reasons)


def test_a_quantised_precision_is_taken_where_it_saves_money() -> None:
    """At a rate that needs fewer devices in INT8, INT8 is chosen and the plan says what FP16 would need."""
    plan = _plan(problem(peak_rps=1500.0, model=network(gflops=20.0)))
    assert plan.candidate.precision is Precision.INT8
    assert any(reason.startswith("int8:") for reason in plan.reasons)


def test_failed_evidence_rules_a_precision_out() -> None:
    """A precision measured below the floor is rejected with that evidence, and the next one is taken."""
    model = network()
    goal = AccuracyGoal(dataset="d.npz", metric="top1", floor=0.9, max_drop=None, confidence=0.95)
    failed = AccuracyEvidence(
        model_digest=model.digest,
        precision=Precision.INT8,
        recipe_digest="r",
        subject="lowered",
        dataset_digest="d",
        metric="top1",
        samples=2000,
        confidence=0.95,
        reference=0.92,
        value=Interval(value=0.8, low=0.78, high=0.82),
        drop=Interval(value=0.13, low=0.11, high=0.15),
        floor=0.9,
        max_drop=None,
        verdict=Verdict.FAIL,
        samples_needed=None,
    )
    plan = _plan(problem(peak_rps=7000.0, model=model, accuracy=goal, evidence=(failed,)))
    assert plan.candidate.precision is Precision.FP16
    assert any(r.constraint == "accuracy" and "top1 0.8" in r.predicted for r in plan.rejections)


def test_redundant_replicas_come_on_top_and_the_slo_holds_without_them() -> None:
    """With redundancy 1 there is one more replica than the load needs."""
    alone = _plan(problem())
    safe = _plan(problem(limits=replace(LIMITS, redundancy=1)))
    assert safe.candidate.replicas == alone.candidate.replicas + 1


def test_measurements_win_over_the_analytic_model() -> None:
    """A stored measurement of the model on the device sets the plan's basis and its numbers."""
    model = network()
    points = tuple(
        ServiceTimePoint(batch_size=b, axes={}, seconds=Interval.exact(0.002 + 0.0005 * b), executions=500)
        for b in (1, 2, 4, 8)
    )
    measured = ServiceTimeProfile(
        model_digest=model.digest,
        precision=Precision.FP16,
        hardware_id="t4",
        engine_kind="tensorrt",
        instances=1,
        points=points,
        environment={"server": "tritonserver 2.51.0"},
    )
    plan = _plan(problem(model=model, options=(priced(T4, 0.53),), measurements=(measured,)))
    assert plan.estimate.basis is Basis.MEASURED
    assert plan.estimate.service_time.at(1).value == pytest.approx(0.0025)


def test_an_impossible_latency_names_itself_and_the_smallest_that_works() -> None:
    """Below every device's service time the latency binds, and the relaxation that is named is feasible."""
    asked = problem(p99_ms=0.2)
    decision = solve(asked)
    assert isinstance(decision, Infeasible)
    assert "slo.latency.p99" in decision.binding
    needed = next(r.needed for r in decision.relaxations if r.path == "slo.latency.p99")
    number, unit = needed.removeprefix("p99 ").split()
    limit_s = float(number) * {"us": 1e-6, "ms": 1e-3}[unit]
    assert isinstance(solve(replace(asked, latency=(LatencyTarget(percentile=99.0, limit_s=limit_s),))), Plan)


def test_a_budget_too_small_is_relaxed_by_money_or_rate() -> None:
    """When max_cost binds, the relaxations say how much money, or what rate, would do."""
    decision = solve(problem(peak_rps=6000.0, limits=replace(LIMITS, max_usd_per_hour=0.6)))
    assert isinstance(decision, Infeasible)
    assert {"constraints.max_cost", "workload.peak"} <= set(decision.binding)


def test_hardware_outside_the_list_is_proposed_as_a_relaxation() -> None:
    """Where the allowed device is too slow, one from the market that is fast enough is named."""
    decision = solve(problem(p99_ms=2.2, options=(priced(T4, 0.53),)), lambda: (priced(H100, 3.9),))
    assert isinstance(decision, Infeasible)
    found = next(r for r in decision.relaxations if r.path == "constraints.hardware")
    assert "h100" in found.needed


def test_a_queue_delay_is_only_taken_where_the_simulation_shows_a_gain() -> None:
    """The comment in the emitted configuration carries the simulated numbers of both."""
    plan = _plan(problem(peak_rps=1500.0, options=(priced(L4, 0.81),)))
    assert isinstance(plan.candidate.batching, DynamicBatching)
    assert any("queue delay" in comment.lower() for comment in plan.comments)


def _plan(asked: Problem) -> Plan:
    decision = solve(asked)
    assert isinstance(decision, Plan), decision
    return decision


def test_a_cost_limit_rules_out_devices_without_a_price() -> None:
    """What a device costs cannot be shown to be within `max_cost` when nobody prices it."""
    unpriced = (replace(priced(L4, 1.0), price=None),)
    limited = solve(problem(options=unpriced, limits=replace(LIMITS, max_usd_per_hour=2.0)))
    assert isinstance(limited, Infeasible)
    assert {rejection.constraint for rejection in limited.rejections} == {"price"}
    assert isinstance(solve(problem(options=unpriced)), Plan)


def test_a_named_target_may_go_without_a_price_and_the_plan_says_what_it_did_not_judge() -> None:
    """A machine of one's own in `deploy.targets` is planned though `max_cost` cannot be checked for it."""
    own = (replace(priced(L4, 1.0), price=None, is_named_target=True),)
    plan = solve(problem(options=own, limits=replace(LIMITS, max_usd_per_hour=2.0)))
    assert isinstance(plan, Plan)
    assert "max_cost not judged" in plan.reasons[0]


def test_no_batching_is_taken_only_where_no_percentile_suffers() -> None:
    """A loose p99 beside a tight p50 is still not made worse for nothing."""
    targets = (LatencyTarget(percentile=50.0, limit_s=0.012), LatencyTarget(percentile=99.0, limit_s=0.5))
    decision = solve(problem(options=(priced(L4, 0.8),), peak_rps=230.0, latency=targets))
    assert isinstance(decision, Plan)
    alone = solve(replace(problem(options=(priced(L4, 0.8),), peak_rps=230.0), latency=targets[1:]))
    assert isinstance(alone, Plan)
    assert decision.estimate.e2e_s["p99"].value <= alone.estimate.e2e_s["p99"].value * 1.05


def test_no_batching_is_not_taken_where_only_batches_keep_the_limit() -> None:
    """A p99 that grows by less than 2% without batches is still too much where the limit lies between."""
    asked = problem(options=(priced(L4, 0.8),), peak_rps=120.0)
    loose = solve(asked)
    assert isinstance(loose, Plan)
    assert loose.candidate.batching == DynamicBatching(max_batch_size=1)
    limit_s = loose.estimate.e2e_s["p99"].value * 0.99
    tight = solve(replace(asked, latency=(LatencyTarget(percentile=99.0, limit_s=limit_s),)))
    assert isinstance(tight, Plan)
    assert tight.estimate.e2e_s["p99"].value <= limit_s


@pytest.mark.parametrize("seed", range(5))
def test_the_search_finds_what_sizing_every_place_finds(seed: int) -> None:
    """Bounds, ceilings and runs that stop early leave out only what is no better than the choice."""
    chance = random.Random(seed)
    limits = replace(LIMITS, redundancy=chance.choice([0, 1]), max_accelerators=chance.choice([None, 4]))
    asked = problem(
        p99_ms=chance.choice([4.0, 9.0, 25.0]),
        peak_rps=chance.choice([60.0, 700.0, 2500.0]),
        limits=limits,
        objective=chance.choice(["cost", "energy", "latency"]),
        options=tuple(priced(option.hardware, chance.choice([0.4, 0.8, 1.6, 3.2])) for option in OPTIONS),
    )
    loader = loader_for(asked)
    sizer, every = Sizer(asked, loader), places(asked, loader.curves)[0]
    best = None
    for place in every:
        sized = sizer.size(place.site, ceiling(asked, place)) if sizer.fits(place.site) is None else None
        if isinstance(sized, Sized):
            value = (round(achieved(asked, place.option, sized, loader), 9), tie_break(asked, sized))
            best = value if best is None else min(best, value)
    found = search(asked, wanted=3).found
    chosen = (round(found[0].value, 9), tie_break(asked, found[0].sized)) if found else None
    assert chosen == best


def test_operators_left_unquantised_weaken_the_case_for_int8() -> None:
    """Accepted INT8 evidence with every operator raised back is predicted at FP16's speed."""
    goal = AccuracyGoal(dataset="d.npz", metric="top1", floor=0.5, max_drop=None, confidence=0.95)
    passed = AccuracyEvidence(
        model_digest=network().digest,
        precision=Precision.INT8,
        recipe_digest="r",
        subject="lowered",
        dataset_digest="d",
        metric="top1",
        samples=1000,
        confidence=0.95,
        reference=0.9,
        value=Interval(value=0.9, low=0.89, high=0.91),
        drop=Interval(value=0.0, low=-0.01, high=0.01),
        floor=0.5,
        max_drop=None,
        verdict=Verdict.PASS,
        samples_needed=None,
    )
    asked = problem(peak_rps=1500.0, model=network(gflops=20.0), accuracy=goal)
    kept = tuple(operator.name for operator in network().operators)
    plain, mixed = (solve(replace(asked, evidence=(replace(passed, kept=names),))) for names in ((), kept))
    assert isinstance(plain, Plan)
    assert isinstance(mixed, Plan)
    assert (plain.candidate.precision, mixed.candidate.precision) == (Precision.INT8, Precision.FP16)
