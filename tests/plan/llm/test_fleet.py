"""Several models in one problem: the best of all that are accurate enough, whatever their order."""

from dataclasses import replace

import pytest

from infc.ir.plan import Infeasible, ModelVerdict, Plan
from infc.ir.problem import LlmProblem
from infc.plan.llm.fleet import chosen_model, models_of, solve_fleet, why_model
from infc.plan.llm.solve import solve_llm
from tests.plan.llm.problems import LIMITS, SCALE, problem
from tests.resolve.hf_config.models import model

FIGURES = {"qwen3-8b": 0.74, "qwen3-4b": 0.69, "qwen3-1.7b": 0.6}


def fleet(names: tuple[str, ...] = tuple(FIGURES), least: float | None = 0.65, **changes: object) -> LlmProblem:
    """A problem about these models, with their figures."""
    base = problem(**changes)  # type: ignore[arg-type]
    models = [
        replace(
            base,
            model=model(name),
            source=replace(base.source, name=name.replace(".", "-"), accuracy=FIGURES[name]),
            min_accuracy=least,
        )
        for name in names
    ]
    return replace(models[0], alternatives=tuple(models[1:]))


def decided(asked: LlmProblem) -> Plan:
    """Its plan."""
    decision = solve_fleet(asked, scale=SCALE)
    assert isinstance(decision, Plan), decision
    return decision


def test_the_cheapest_model_that_is_accurate_enough_is_chosen() -> None:
    """The smallest is cheaper and not accurate enough, the largest dearer: both are told with their figures."""
    plan = decided(fleet(peak_rps=20.0))
    assert plan.candidate.model == "qwen3-4b"
    assert plan.candidate.label.startswith("qwen3-4b:bf16/")
    verdicts = {option.name: option.verdict for option in plan.models}
    assert list(verdicts) == ["qwen3-8b", "qwen3-4b", "qwen3-1-7b"]
    assert verdicts["qwen3-1-7b"] is ModelVerdict.INACCURATE
    assert verdicts["qwen3-8b"] in (ModelVerdict.OUTBID, ModelVerdict.FEASIBLE)
    assert all(option.estimate is not None for option in plan.models)
    assert any(r.candidate == "qwen3-1-7b" and "0.6" in r.predicted for r in plan.rejections)
    assert plan.reasons[0].startswith("qwen3-4b: the cheapest of 2 models with an accuracy of 0.65 or more")


def test_the_choice_is_the_best_of_the_plans_of_each_model() -> None:
    """As if every model had been planned for on its own."""
    asked = fleet(least=None, peak_rps=12.0)
    plan = decided(asked)
    alone = [solve_llm(each, scale=SCALE) for each in models_of(asked)]
    costs = [each.estimate.cost.usd_per_hour for each in alone if isinstance(each, Plan) and each.estimate.cost]
    assert plan.estimate.cost is not None
    assert plan.estimate.cost.usd_per_hour == pytest.approx(min(costs))


def test_the_order_of_the_models_does_not_matter() -> None:
    """Only the table follows it."""
    forward, backward = decided(fleet()), decided(fleet(tuple(reversed(FIGURES))))
    assert forward.candidate == backward.candidate
    assert forward.estimate == backward.estimate
    assert [o.name for o in forward.models] == [o.name for o in reversed(backward.models)]


def test_at_equal_cost_the_more_accurate_model_goes_first() -> None:
    """At a rate that one device of the cheapest kind carries with any of them."""
    plan = decided(fleet(least=None, peak_rps=0.2, ttft_ms=5000.0, tpot_ms=200.0))
    assert plan.candidate.model == "qwen3-8b"


def test_after_planning_there_is_one_model() -> None:
    """The chosen one's problem, without alternatives."""
    asked = fleet(peak_rps=20.0)
    chosen = chosen_model(asked, decided(asked))
    assert (chosen.source.name, chosen.alternatives) == ("qwen3-4b", ())
    assert chosen.model.parameters == model("qwen3-4b").parameters


def test_a_fleet_that_cannot_hold_the_slo_says_so_of_every_model() -> None:
    """And names the accuracy that would have to be given up, where that helps."""
    limits = replace(LIMITS, max_usd_per_hour=1.0)
    decision = solve_fleet(fleet(least=0.7, peak_rps=4.0, limits=limits), scale=SCALE)
    assert isinstance(decision, Infeasible)
    assert [option.verdict for option in decision.models] == [
        ModelVerdict.INFEASIBLE,
        ModelVerdict.INACCURATE,
        ModelVerdict.INACCURATE,
    ]
    accuracy = [r for r in decision.relaxations if r.path == "model.min_accuracy"]
    assert [(r.current, r.needed) for r in accuracy] == [("0.7", "0.6")]
    assert accuracy[0].candidate.startswith("qwen3-1-7b:")
    assert "model.min_accuracy" in decision.binding


def test_why_takes_the_models_name_before_a_colon() -> None:
    """Without one it is about the chosen model; the accuracy is a constraint like any other."""
    asked = fleet(peak_rps=2.0)
    models = models_of(asked)
    answer = why_model(models, models[0], "qwen3-1-7b:bf16/l40s/tp1")
    assert answer is not None
    assert answer.checks[0].constraint == "model.min_accuracy"
    assert not answer.checks[0].holds
    assert answer.candidate is not None
    assert answer.candidate.model == "qwen3-1-7b"
    assert why_model(models, models[0], "nobody:bf16/l40s") is None
