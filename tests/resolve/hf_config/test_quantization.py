"""`quantization_config` says how large weights are, in the words of each library."""

import json
from pathlib import Path

import pytest

from infc.diag import Diagnostic
from infc.ir.llm_profile import CheckpointQuantization, LayerPart, LlmProfile
from infc.ir.precision import Precision
from infc.resolve.hf_config import llm_profile
from tests.resolve.hf_config.models import CONFIGS, model

_WEIGHTS = {"num_bits": 8, "type": "float", "strategy": "channel"}
_DYNAMIC = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}


def quantised(
    stated: object, tmp_path: Path, base: str = "llama-3.1-8b"
) -> tuple[LlmProfile | None, tuple[Diagnostic, ...]]:
    """The profile of a model with this `quantization_config`."""
    fields = json.loads((CONFIGS / f"{base}.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**fields, "quantization_config": stated}))
    return llm_profile(path)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"quant_method": "fp8", "activation_scheme": "static"}, ("fp8", "fp8", "fp8", None)),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, ("fp8", "fp8", "fp8", 16384)),
        ({"quant_method": "fbgemm_fp8"}, ("fbgemm_fp8", "fp8", "fp8", None)),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, ("awq", "int4", None, 128)),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, ("awq", "int4", None, 64)),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, ("gptq", "int4", None, 128)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1, "desc_act": True}, ("gptq", "int8", None, None)),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, ("modelopt", "fp8", "fp8", None)),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, ("modelopt", "fp4", "fp4", 16)),
        ({"quant_method": "mxfp4"}, ("mxfp4", "fp4", None, 32)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, ("bitsandbytes", "int4", None, 64)),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, ("bitsandbytes", "int8", None, None)),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": _WEIGHTS, "input_activations": _DYNAMIC}},
            },
            ("compressed-tensors", "fp8", "fp8", None),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {
                        "weights": {**_WEIGHTS, "type": "int"},
                        "input_activations": {**_DYNAMIC, "type": "int"},
                    }
                },
            },
            ("compressed-tensors", "int8", "int8", None),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}, "input_activations": None}
                },
            },
            ("compressed-tensors", "int4", None, 128),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {
                        "weights": {"num_bits": 4, "type": "float", "group_size": 16},
                        "input_activations": {"num_bits": 4, "type": "float"},
                    }
                },
            },
            ("compressed-tensors", "fp4", "fp4", 16),
        ),
    ],
    ids=lambda value: value[0] + "-" + value[1] if isinstance(value, tuple) else "",
)
def test_each_library_is_understood(
    stated: object, expected: tuple[str, str, str | None, int | None], tmp_path: Path
) -> None:
    """Method, precision of weights and activations, and how many weights share a scale."""
    profile, problems = quantised(stated, tmp_path)
    assert profile is not None, problems
    found = profile.quantization
    assert found is not None
    activation = None if found.activation_precision is None else found.activation_precision.value
    assert (found.method, found.weight_precision.value, activation, found.group_size) == expected


@pytest.mark.parametrize(
    "stated",
    [
        {"quant_method": "aqlm"},
        {"quant_method": "gptq", "bits": 3},
        {"quant_method": "modelopt", "quant_algo": "W1A1"},
        {"quant_method": "compressed-tensors", "config_groups": {}},
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True},
        {"bits": 4},
    ],
    ids=str,
)
def test_a_format_that_is_unknown_or_not_loaded_is_refused(stated: object, tmp_path: Path) -> None:
    """How large its weights are is not known, or vLLM does not start with it."""
    profile, problems = quantised(stated, tmp_path)
    assert profile is None
    assert [problem.id for problem in problems] == ["config-quantization"]
    assert problems[0].help


def test_experts_alone_are_quantised_in_kimi_and_gpt_oss() -> None:
    """Kimi K2.5 lists patterns to leave out; MXFP4 is made for experts only."""
    kept = (LayerPart.ATTENTION, LayerPart.DENSE, LayerPart.SHARED_EXPERTS)
    assert model("kimi-k2.5").quantization == CheckpointQuantization(
        method="compressed-tensors",
        weight_precision=Precision.INT4,
        activation_precision=None,
        group_size=32,
        unquantized=kept,
        scale_bytes=2.0,
    )
    assert model("gpt-oss-120b").quantization.unquantized == kept  # type: ignore[union-attr]


def test_norms_and_routers_in_an_exclusion_list_mean_nothing(tmp_path: Path) -> None:
    """They are never quantised; `post_attention_layernorm` is no attention."""
    excluded = [f"model.layers.{i}.{m}" for i in range(48) for m in ("post_attention_layernorm", "mlp.gate")]
    stated = {"quant_method": "fp8", "modules_to_not_convert": ["lm_head", *excluded]}
    profile, _ = quantised(stated, tmp_path, "qwen3-30b-a3b")
    assert profile is not None
    assert profile.quantization is not None
    assert profile.quantization.unquantized == ()


def test_layers_that_are_listed_one_by_one_count_when_they_are_most(tmp_path: Path) -> None:
    """A few layers left out do not make a part unquantised."""

    def parts(layers: int) -> tuple[LayerPart, ...]:
        listed = [f"model.layers.{i}.self_attn.q_proj" for i in range(layers)]
        profile, _ = quantised({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": listed}, tmp_path)
        assert profile is not None
        assert profile.quantization is not None
        return profile.quantization.unquantized

    assert parts(32) == (LayerPart.ATTENTION,)
    assert parts(3) == ()


def test_the_file_of_modelopt_beside_the_config_counts(tmp_path: Path) -> None:
    """Older ModelOpt checkpoints say it in hf_quant_config.json."""
    (tmp_path / "config.json").write_text((CONFIGS / "llama-3.1-70b.json").read_text())
    stated = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(stated))
    profile, _ = llm_profile(tmp_path)
    assert profile is not None
    assert profile.quantization is not None
    assert (profile.quantization.weight_precision, profile.quantization.kv_precision) == (Precision.FP8, Precision.FP8)
