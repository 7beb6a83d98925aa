"""Pipelines: how a model is cut into stages, and what a batch takes through them."""

import pytest

from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel
from infc.perf import Unsupported
from infc.perf.llm import step_time
from infc.perf.llm.memory import llm_memory, weight_bytes
from infc.perf.llm.stages import PIPELINE_SPREAD, stage_layers, stage_models
from tests.perf.llm.test_step_time import device
from tests.resolve.hf_config.models import model


@pytest.mark.parametrize(("layers", "stages"), [(61, 2), (80, 3), (32, 5), (7, 7)])
def test_stages_share_the_layers(layers: int, stages: int) -> None:
    """All layers are somewhere, and no stage has two more than another."""
    counts = stage_layers(layers, stages)
    assert sum(counts) == layers
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("name", ["llama-3.1-8b", "deepseek-v3"])
def test_stages_hold_the_whole_model(name: str) -> None:
    """Weights of the stages add up to the model's; only tied embeddings are there twice."""
    whole = model(name)
    parts = stage_models(whole, 2)
    assert sum(part.layers for part in parts) == whole.layers
    total = sum(weight_bytes(part, Precision.FP8) for part in parts)
    assert total == pytest.approx(weight_bytes(whole, Precision.FP8), rel=1e-6)


def test_a_pipeline_holds_what_one_host_does_not() -> None:
    """Each device holds its share of the layers, so that twice the devices cache more than twice the tokens."""

    def cached(stages: int) -> int:
        return llm_memory(
            model("llama-3.1-8b"),
            device("l4"),
            Precision.BF16,
            tensor_parallel=1,
            kv_precision=None,
            max_num_seqs=16,
            max_num_batched_tokens=2048,
            pipeline_parallel=stages,
        ).kv_cache_tokens

    assert 0 < cached(1) * 2 < cached(2)


def test_a_token_takes_no_less_through_a_pipeline() -> None:
    """Stages follow each other: a lone token passes all of them, and waits for each hop; the interval is wider."""
    one, two = (
        step_time(model("llama-3.1-8b"), device("h100-sxm"), Precision.BF16, pipeline_parallel=n) for n in (1, 2)
    )
    assert isinstance(one, StepTimeModel)
    assert isinstance(two, StepTimeModel)
    assert two.fixed_s + two.token_s[0] > one.fixed_s + one.token_s[0]
    assert two.decode_spread == pytest.approx(PIPELINE_SPREAD * one.decode_spread)
    assert two.context_s == pytest.approx(one.context_s)


@pytest.mark.parametrize(
    ("hardware", "stages", "reason"), [("cpu", 2, "is one device"), ("h100-sxm", 64, "32 layers make no 64 stages")]
)
def test_what_makes_no_pipeline_says_why(hardware: str, stages: int, reason: str) -> None:
    """One device is no pipeline, and every stage has a layer."""
    found = step_time(model("llama-3.1-8b"), device(hardware), Precision.BF16, pipeline_parallel=stages)
    assert isinstance(found, Unsupported)
    assert reason in found.reason
