"""Predicted decoding on Jetson modules beside published figures, on which nothing was fitted."""

import json
from pathlib import Path

import pytest

from infc.ir.precision import Precision
from infc.perf.llm import step_time
from infc.perf.support import Unsupported
from infc.resolve.hf_config import llm_profile
from infc.resolve.targets import load_catalogue
from infc.sim.continuous_batching.step import step_s

ROOT = Path(__file__).parents[3]
CONFIGS, SPECS = ROOT / "benchmarks/data/llm_configs", ROOT / "tests/llm_specs"
LLAMA_3B = {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
    "head_dim": 128,
}
ORIN, THOR = ("jetson-agx-orin-64gb", "MAXN"), ("jetson-agx-thor-t5000", None)
PUBLISHED = [
    (ORIN, "llama-3.2-1b", "bf16", 65.02),
    (ORIN, "llama-3.2-3b", "bf16", 25.64),
    (ORIN, "llama-3.2-3b", "int4", 61.21),
    (ORIN, "qwen3-1.7b", "bf16", 45.83),
    (ORIN, "qwen3-1.7b", "int4", 100.96),
    (ORIN, "qwen3-0.6b", "bf16", 117.52),
    (THOR, "llama-3.2-1b", "bf16", 77.30),
    (THOR, "llama-3.2-1b", "int4", 162.46),
    (THOR, "llama-3.2-3b", "bf16", 34.21),
    (THOR, "llama-3.2-3b", "int4", 73.59),
    (THOR, "qwen3-1.7b", "bf16", 49.31),
    (THOR, "qwen3-1.7b", "int4", 124.63),
    (THOR, "qwen3-0.6b", "bf16", 140.38),
]
"""Generated tokens a second of one sequence in vLLM. Source: embedl, Edge-Inference-Benchmarks (Llama-3.2.csv,
Qwen3.csv): AGX Orin and AGX Thor, BF16 and W4A16, batch 1; power mode not said, taken to be the fastest."""


def config(name: str, folder: Path) -> Path:
    """The config.json of a model; Llama 3.2 3B from the 8B one, which differs in these fields."""
    if name != "llama-3.2-3b":
        return CONFIGS / name if (CONFIGS / name).is_dir() else SPECS / name / "model"
    base = json.loads((SPECS / "llama-3.1-8b/model/config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**base, **LLAMA_3B}))
    return folder


@pytest.mark.parametrize(("place", "name", "precision", "published"), PUBLISHED)
def test_published_decoding_is_within_the_interval(
    tmp_path: Path, place: tuple[str, str | None], name: str, precision: str, published: float
) -> None:
    """Every figure lies in the 90% interval, and no prediction is more than 25% off."""
    hardware = load_catalogue(None).find(place[0])
    model, problems = llm_profile(config(name, tmp_path))
    assert hardware is not None
    assert model is not None, problems
    steps = step_time(model, hardware, Precision(precision), power_mode=place[1])
    assert not isinstance(steps, Unsupported)
    rate = 1.0 / step_s(steps, decode_seqs=1, context_tokens=256)
    assert published / steps.decode_spread <= rate <= published * steps.decode_spread
    assert rate == pytest.approx(published, rel=0.25)
