"""What vLLM has kernels for: quantised checkpoints and kinds of attention by device."""

from dataclasses import replace

import pytest

from infc.ir.llm_profile import CheckpointQuantization, LlmProfile
from infc.ir.precision import Precision
from infc.perf.llm.place import is_weight_only, unsupported
from infc.resolve.targets import load_catalogue
from tests.resolve.hf_config.models import model

CATALOGUE = load_catalogue(None)


def quantised(
    method: str,
    weights: Precision,
    activations: Precision | None,
    cache: Precision | None = None,
    name: str = "llama-3.1-8b",
) -> LlmProfile:
    """A model whose checkpoint is stored so."""
    stored = CheckpointQuantization(
        method=method,
        weight_precision=weights,
        activation_precision=activations,
        group_size=None,
        kv_precision=cache,
        unquantized=(),
        scale_bytes=0.0,
    )
    return replace(model(name), quantization=stored)


GPTQ_8 = quantised("gptq", Precision.INT8, None)
W8A8 = quantised("compressed-tensors", Precision.INT8, Precision.INT8)
W4A8 = quantised("modelopt", Precision.INT4, Precision.FP8)
FP8 = quantised("compressed-tensors", Precision.FP8, Precision.FP8)
MODELOPT_FP8 = quantised("modelopt", Precision.FP8, Precision.FP8)
FP8_CACHE = quantised("compressed-tensors", Precision.FP8, Precision.FP8, Precision.FP8)
NARROW_HEADS = quantised("compressed-tensors", Precision.FP8, Precision.FP8, Precision.FP8, "phi-2")


@pytest.mark.parametrize(
    ("asked", "precision", "runs", "refused"),
    [
        pytest.param(GPTQ_8, Precision.INT8, ("t4", "l4", "b200-sxm"), {"cpu": "16-bit activations"}, id="gptq-8"),
        pytest.param(W8A8, Precision.INT8, ("t4", "h100-sxm", "cpu"), {"b200-sxm": "no INT8 kernels"}, id="w8a8"),
        pytest.param(W4A8, Precision.INT4, ("h100-sxm",), {"l4": "INT4 weights need 9.0"}, id="w4a8"),
        pytest.param(FP8, Precision.FP8, ("t4", "a100-sxm-80gb", "l4"), {"cpu": "no FP8 kernels"}, id="fp8"),
        pytest.param(MODELOPT_FP8, Precision.FP8, ("a100-sxm-80gb",), {"t4": "FP8 weights need 8.0"}, id="modelopt"),
        pytest.param(FP8_CACHE, Precision.FP8, ("a100-sxm-80gb", "l4"), {"t4": "FP8 cache from 8.0"}, id="fp8-cache"),
        pytest.param(NARROW_HEADS, Precision.FP8, ("l4",), {"a100-sxm-80gb": "heads of 80 from 8.9"}, id="heads"),
        pytest.param(model("deepseek-v2-lite"), Precision.FP16, ("l4",), {"t4": "latent attention"}, id="latent"),
    ],
)
def test_a_checkpoint_runs_where_vllm_has_its_kernels(
    asked: LlmProfile, precision: Precision, runs: tuple[str, ...], refused: dict[str, str]
) -> None:
    """And nowhere else: the reason names what the device lacks."""
    for name in (*runs, *refused):
        hardware = CATALOGUE.find(name)
        assert hardware is not None
        found = unsupported(asked, hardware, precision)
        if name in runs:
            assert found is None, found
        else:
            assert found is not None
            assert refused[name] in found.reason


def test_integers_of_eight_bits_are_widened_where_activations_are_not_quantised() -> None:
    """GPTQ of 8 bits multiplies in 16 bits; what quantises activations too, or is yet to be quantised, in integers."""
    assert is_weight_only(GPTQ_8, Precision.INT8)
    assert not is_weight_only(W8A8, Precision.INT8)
    assert not is_weight_only(model("llama-3.1-8b"), Precision.INT8)
