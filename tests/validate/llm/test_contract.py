"""`validation.json` of a language model's bundle."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.ir.arrival import BurstyArrival
from infc.ir.checkpoint import Checkpoint
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution, LlmProblem
from infc.pipeline.plan import plan_spec
from infc.pipeline.validate import is_language_model
from infc.validate.contract import CONTRACT_NAME
from infc.validate.llm.contract import llm_contract_from
from infc.validate.llm.contract_json import from_json, to_json
from infc.validate.llm.session import read_llm_contract
from tests.validate.llm_import.contracts import contract, target

SPEC = Path(__file__).parents[3] / "specs" / "tiny-llama" / "tiny-llama.infc.yaml"


def test_a_contract_survives_the_file() -> None:
    """Every field comes back, and the bytes are the same again."""
    original = contract({"ttft": (target(50, 0.1), target(99.9, 1.5)), "e2e": (target(99, 9.0),)})
    original = replace(
        original,
        traffic=replace(original.traffic, arrival=BurstyArrival(cv=2.5)),
        tokens=replace(
            original.tokens, prompt=AxisDistribution(percentiles={50: 64, 99.9: 900}, maximum=1000), shared_prefix=0.25
        ),
        predicted_s={"ttft": {"mean": Interval(value=0.1, low=0.05, high=0.2)}, "itl": {}},
        model=replace(original.model, kv_precision=Precision.FP8, is_cpu=False, name='odd "name"\n${x}'),
        steps=replace(original.steps, window_tokens=4096, window_s=1e-9),
    )
    content = to_json(original)
    assert from_json(content) == original
    assert to_json(from_json(content)) == content


def test_the_contract_of_a_plan_says_what_the_plan_says() -> None:
    """Limits, cache, traffic, targets and predictions of the tiny model's plan."""
    planned = plan_spec(SPEC)
    chosen = planned.decisions[0]
    problem, plan = chosen.problem, chosen.decision
    assert isinstance(problem, LlmProblem)
    assert isinstance(plan, Plan)
    checkpoint = Checkpoint(
        folder=None,
        repo=None,
        revision=None,
        files={},
        has_weights=False,
        digest="sha256:1",
        source_digest="sha256:1",
        precision=plan.candidate.precision,
    )
    made = llm_contract_from(problem, plan, checkpoint, server_version="0.32.0")
    assert made.model.max_model_len == problem.tokens.longest
    assert made.model.max_num_seqs == plan.candidate.batching.max_num_seqs  # type: ignore[union-attr]
    assert plan.estimate.tokens is not None
    assert made.model.kv_cache_tokens == plan.estimate.tokens.kv_cache_tokens
    assert made.predicted_s["ttft"] == plan.estimate.tokens.ttft_s
    assert {metric: [t.label for t in targets] for metric, targets in made.targets.items()} == {
        "ttft": ["p95"],
        "tpot": ["p95"],
    }
    assert made.replica_rps == problem.traffic.peak_rps / plan.candidate.replicas
    assert from_json(to_json(made)).model == made.model


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": "2.0"},
        {"model": None},
        {"limits_s": {"ttft": 5}},
        {"limits_s": {"speed": {"p99": 1.0}}},
        {"tokens": {}},
    ],
)
def test_a_file_that_is_no_contract_is_refused_with_a_reason(change: dict[str, object], tmp_path: Path) -> None:
    """Never a traceback."""
    document = json.loads(to_json(contract({}))) | change
    (tmp_path / CONTRACT_NAME).write_text(json.dumps(document))
    with pytest.raises(ToolError, match="cannot be read"):
        read_llm_contract(tmp_path)


def test_which_bundles_are_of_language_models(tmp_path: Path) -> None:
    """The contract says so; one that is missing or broken does not."""
    assert not is_language_model(tmp_path)
    (tmp_path / CONTRACT_NAME).write_text("{")
    assert not is_language_model(tmp_path)
    (tmp_path / CONTRACT_NAME).write_bytes(to_json(contract({})))
    assert is_language_model(tmp_path)
