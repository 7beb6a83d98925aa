"""The ladder of a language model: one sequence at a time, batching, what a lower precision would buy."""

import shutil
from pathlib import Path

import pytest

from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.pipeline.plan import plan_spec
from infc.plan.capacity import availability, rollout
from infc.plan.ladder import Rung, ladder, ladder_sentences

EXAMPLE = Path(__file__).parents[2] / "specs" / "qwen3-8b"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[LlmProblem, Plan]:
    """The example on one kind of device."""
    folder = tmp_path_factory.mktemp("llm") / "qwen3-8b"
    shutil.copytree(EXAMPLE, folder)
    spec = folder / "qwen3-8b.infc.yaml"
    text = spec.read_text(encoding="utf-8")
    spec.write_text(text.replace("constraints:\n", "constraints:\n  hardware: [h100-sxm]\n"), encoding="utf-8")
    decided = plan_spec(spec).decisions[0]
    assert isinstance(decided.decision, Plan), decided.decision
    assert isinstance(decided.problem, LlmProblem)
    return decided.problem, decided.decision


@pytest.fixture(scope="module")
def rungs(planned: tuple[LlmProblem, Plan]) -> tuple[Rung, ...]:
    """Its ladder."""
    return ladder(*planned)


def test_batching_is_what_makes_it_affordable(planned: tuple[LlmProblem, Plan], rungs: tuple[Rung, ...]) -> None:
    """One sequence at a time needs many times the replicas, if it holds the SLO at all."""
    first, second = rungs[:2]
    assert (first.step, second.step) == ("one at a time", "batching")
    assert second.replicas is not None
    assert first.replicas is None or first.replicas > 20 * second.replicas
    assert set(first.latency_s) == {"ttft p99", "tpot p99"}
    last = [rung for rung in rungs if rung.is_taken][-1]
    assert last.replicas == planned[1].candidate.replicas
    assert ladder_sentences(rungs)


def test_a_lower_precision_is_shown_as_left_out(rungs: tuple[Rung, ...]) -> None:
    """FP8 is what an H100 could go down to, with what it would save and why it is not taken."""
    left = [rung for rung in rungs if not rung.is_taken]
    assert [rung.settings for rung in left] == ["fp8"]
    assert left[0].note


def test_money_and_spare_capacity_count_the_devices_of_every_replica(planned: tuple[LlmProblem, Plan]) -> None:
    """Tokens with and without the prompts, energy by token, an update's surge by all devices of a replica."""
    problem, plan = planned
    cost, energy = plan.estimate.cost, plan.estimate.energy
    assert cost is not None
    assert energy is not None
    assert cost.usd_per_million_tokens is not None
    assert cost.usd_per_million_all_tokens is not None
    assert cost.usd_per_million_all_tokens < cost.usd_per_million_tokens
    assert energy.joules_per_token is not None
    assert energy.joules_per_token.value < energy.joules_per_request.value
    assert rollout(problem, plan).usd_per_hour == pytest.approx(cost.usd_per_hour / plan.candidate.replicas, rel=1e-6)
    promised = availability(problem, plan)
    assert promised is not None
    assert promised.reached > 0.999
