"""The ladder: what each step buys, where the SLO is first met, what is given up for nothing."""

from dataclasses import replace

import pytest

from infc.ir.candidate import DynamicBatching
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import Origin, Problem
from infc.perf.framework import framework_ratio
from infc.plan import solve
from infc.plan.constraint_costs import constraint_costs
from infc.plan.ladder import Rung, ladder, ladder_sentences
from tests.plan.problems import H100, L4, LIMITS, OPTIONS, T4, priced, problem


def climbed(asked: Problem) -> tuple[Plan, tuple[Rung, ...]]:
    """The plan and its ladder."""
    plan = solve(asked)
    assert isinstance(plan, Plan), plan
    return plan, ladder(asked, plan)


@pytest.fixture(scope="module")
def busy() -> tuple[Plan, tuple[Rung, ...]]:
    """A load that needs several devices: every step saves some."""
    return climbed(problem(peak_rps=7000.0, options=(priced(L4, 0.8),), limits=replace(LIMITS, redundancy=1)))


def test_the_ladder_leads_from_the_framework_to_the_plan(busy: tuple[Plan, tuple[Rung, ...]]) -> None:
    """Uncompiled first, then compiled in full precision, half precision, and so on; the last step taken is the plan."""
    plan, rungs = busy
    assert [rung.step for rung in rungs[:3]] == ["uncompiled", "compiled", "precision"]
    assert rungs[1].settings in ("tf32", "fp32")
    last = [rung for rung in rungs if rung.is_taken][-1]
    assert last.step == "redundancy"
    assert last.replicas == plan.candidate.replicas
    assert last.usd_per_month == plan.estimate.cost.usd_per_month if plan.estimate.cost else False
    assert last.latency_s["p99"] == plan.estimate.e2e_s["p99"]


def test_each_step_of_this_load_needs_no_more_replicas(busy: tuple[Plan, tuple[Rung, ...]]) -> None:
    """Compilation and lower precision make executions shorter, batching makes more of them: replicas only fall."""
    steps = [rung for rung in busy[1] if rung.is_taken and rung.step != "redundancy"]
    counts = [rung.replicas for rung in steps if rung.replicas is not None]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_the_framework_is_slower_by_the_measured_ratio_with_a_wider_interval(
    busy: tuple[Plan, tuple[Rung, ...]],
) -> None:
    """The first rung rests on a ratio of public measurements: analytic, and less certain than the engine."""
    first, second = busy[1][:2]
    assert first.basis.value == "analytic"
    spread = [r.latency_s["p99"].high / r.latency_s["p99"].low for r in (first, second)]
    assert spread[0] > spread[1]
    assert framework_ratio(1).low >= 1.0


def test_precision_is_not_given_up_for_nothing() -> None:
    """Where one device in FP16 is enough, INT8 is shown as not taken, with the reason."""
    plan, rungs = climbed(problem(options=(priced(T4, 0.5),)))
    assert plan.candidate.precision is Precision.FP16
    left = [rung for rung in rungs if not rung.is_taken]
    assert [rung.settings for rung in left] == ["int8", "fp16 in ONNX Runtime", "fp16 in torch.compile"]
    assert "for nothing" in left[0].note
    assert any("is not taken" in sentence for sentence in ladder_sentences(rungs))


def test_the_plan_says_what_it_would_need_without_tensorrt(busy: tuple[Plan, tuple[Rung, ...]]) -> None:
    """Its own settings on other runtimes, by measured ratios: slower, wider, and with where the ratio is from."""
    runtimes = {rung.settings: rung for rung in busy[1] if rung.step == "runtime"}
    assert all(not rung.is_taken and rung.basis.value == "analytic" for rung in runtimes.values())
    onnxruntime = next(rung for words, rung in runtimes.items() if "ONNX Runtime" in words)
    own = next(rung for rung in reversed(busy[1]) if rung.is_taken and rung.step != "redundancy")
    assert onnxruntime.replicas is None or (own.replicas is not None and onnxruntime.replicas > own.replicas)
    assert "measured on BERTs" in onnxruntime.note


def test_a_step_that_no_number_of_replicas_saves_is_missed() -> None:
    """Below the service time of the framework the SLO is missed there, and first met further up."""
    asked = problem(p99_ms=4.5, peak_rps=50.0, options=(priced(T4, 0.5),))
    _, rungs = climbed(asked)
    missed = [rung for rung in rungs if not rung.meets_slo]
    assert missed
    assert missed[0].step == "uncompiled"
    assert all(rung.replicas is None and rung.usd_per_month is None for rung in missed)
    sentence = ladder_sentences(rungs)[0]
    assert sentence.startswith("the SLO is first met")
    assert "uncompiled" not in sentence


def test_the_ladder_is_the_same_every_time() -> None:
    """Same problem, same plan, same rungs."""
    asked = problem(options=(priced(T4, 0.5),))
    assert climbed(asked) == climbed(asked)


def test_batching_is_a_step_where_the_plan_batches(busy: tuple[Plan, tuple[Rung, ...]]) -> None:
    """What the scheduler's settings buy is shown one by one."""
    batching = busy[0].candidate.batching
    assert isinstance(batching, DynamicBatching)
    assert any(rung.step == "batching" for rung in busy[1]) == (batching.max_batch_size > 1)


def test_constraints_are_priced_by_the_plan_without_them() -> None:
    """A list of hardware that leaves out the cheap device, redundancy and the objective each cost what they cost."""
    asked = problem(
        options=(priced(H100, 3.9),),
        limits=replace(LIMITS, redundancy=1),
        origins={"constraints.hardware": Origin.USER, "constraints.precision": Origin.DEFAULT},
    )
    plan = solve(asked)
    assert isinstance(plan, Plan)
    found = {c.path: c for c in constraint_costs(asked, plan, solve, lambda: OPTIONS)}
    assert found["constraints.redundancy"].usd_per_month == pytest.approx(3.9 * 730)
    assert found["constraints.hardware"].candidate.hardware_id == "t4"
    assert found["constraints.hardware"].usd_per_month == pytest.approx(2 * (3.9 - 0.53) * 730)
    assert "slo.latency" not in found
