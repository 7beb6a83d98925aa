"""Which models the pinned vLLM serves, and how what it does not serve is told."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from infc.resolve.hf_config.families import FAMILIES
from infc.resolve.served_models import not_served, served_models
from tests.resolve.hf_config.models import NAMES, model


@pytest.mark.parametrize("name", NAMES)
def test_every_described_model_is_served(name: str) -> None:
    """Of all fixtures the pinned release can start a server, the vision-language ones for text only."""
    assert not_served(model(name)) is None


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("Dots1ForCausalLM", "no longer serves Dots1ForCausalLM; 0.23.0 was the last"),
        ("Llama9ForCausalLM", "does not serve the architecture 'Llama9ForCausalLM'"),
        ("BertModel", "serves BertModel for embedding, not to generate text"),
        ("DeepSeekMTPModel", "for drafter, not to generate text"),
        ("", "names no architecture"),
    ],
)
def test_what_is_not_served_is_refused_by_name(architecture: str, words: str) -> None:
    """With what vLLM says of it, and how to go on."""
    refusal = not_served(replace(model("llama-3.1-8b"), architecture=architecture))
    assert refusal is not None
    assert refusal.id == "plan-not-served"
    assert words in refusal.message
    assert refusal.help


def test_a_near_name_is_told() -> None:
    """A misspelt architecture."""
    refusal = not_served(replace(model("llama-3.1-8b"), architecture="Qwen3ForCausalLm2"))
    assert refusal is not None
    assert "Qwen3ForCausalLM" in refusal.notes[0]


def test_a_checkpoint_that_the_release_does_not_load_is_refused() -> None:
    """Methods come and go with releases: bitsandbytes was loaded once, AutoRound has another name there."""
    stored = model("deepseek-v3").quantization
    assert stored is not None
    plain = model("llama-3.1-8b")
    refusal = not_served(replace(plain, quantization=replace(stored, method="bitsandbytes")))
    assert refusal is not None
    assert "does not load checkpoints that bitsandbytes quantised" in refusal.message
    assert not_served(replace(plain, quantization=replace(stored, method="bitsandbytes")), "0.19.0") is None
    assert not_served(replace(plain, quantization=replace(stored, method="auto-round"))) is None


def test_a_multimodal_architecture_whose_encoder_nobody_mentioned_is_refused() -> None:
    """Its config has no vision_config, so neither its size nor that it is left out is known."""
    profile = replace(model("qwen2.5-7b"), architecture="Qwen2_5_VLForConditionalGeneration")
    refusal = not_served(profile)
    assert refusal is not None
    assert "encoders" in refusal.message


def test_the_pinned_release_is_the_one_that_is_emitted() -> None:
    """Both read versions.yaml."""
    from infc.emit.vllm.release import default_release

    assert served_models().version == default_release().version


def test_the_documentation_names_every_described_architecture() -> None:
    """docs/models.md is where a refusal sends the reader."""
    text = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    table = text[text.index("Described, by") : text.index("What vLLM serves")]
    named = set(re.findall(r"[a-z0-9_]+", table))
    assert {name for family in FAMILIES for name in family.model_types} <= named
