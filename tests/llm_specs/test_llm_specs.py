"""Every spec plans, and its plan is one that vLLM can start."""

import pytest

from infc.ir.candidate import ContinuousBatching
from infc.ir.llm_profile import AttentionKind
from infc.perf.llm.memory import visible_memory_bytes
from infc.resolve.targets import load_catalogue
from tests.llm_specs import NAMES, planned, problem

DEVICES = {"llama-3.1-70b": 4, "mixtral-8x7b": 2, "deepseek-v3": 8, "phi-4": 4}
STAGES = {"phi-4": 2}
PRECISIONS = {"deepseek-v3": "fp8", "qwen3-8b": "fp8", "mistral-7b": "int4", "llama-3.2-1b": "fp16", "phi-4": "fp16"}


def test_there_are_twelve() -> None:
    """One spec for each model that the project promises."""
    assert len(NAMES) == 12


def test_only_the_vision_language_model_is_cut_to_its_text() -> None:
    """And the plan says so: its encoder is neither counted nor, as emitted, loaded."""
    assert [name for name in NAMES if problem(name).model.caveats] == ["qwen2.5-vl-7b"]


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_fits_the_model_and_the_device(name: str) -> None:
    """Devices share the heads evenly, the weights fit, and the cache holds the longest request."""
    of, plan = problem(name), planned(name)
    candidate, batching = plan.candidate, plan.candidate.batching
    assert isinstance(batching, ContinuousBatching)
    assert candidate.server == "vllm"
    assert candidate.precision.value == PRECISIONS.get(name, "bf16")
    assert candidate.devices >= DEVICES.get(name, 1)
    assert candidate.pipeline_parallel == STAGES.get(name, 1)
    for group in of.model.groups:
        if group.attention.kind is AttentionKind.GROUPED:
            heads, shared = group.attention.query_heads, group.attention.kv_heads
            assert heads % candidate.tensor_parallel == 0
            assert shared % candidate.tensor_parallel == 0 or candidate.tensor_parallel % shared == 0
    assert of.tokens.longest <= of.model.max_context_tokens
    assert batching.max_num_seqs <= batching.max_num_batched_tokens
    assert batching.max_model_len == of.tokens.longest
    tokens = plan.estimate.tokens
    assert tokens is not None
    assert tokens.kv_cache_tokens >= of.tokens.longest
    hardware = load_catalogue(None).find(candidate.hardware_id)
    assert hardware is not None
    assert plan.estimate.memory.total_bytes <= visible_memory_bytes(hardware)
