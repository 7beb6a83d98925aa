"""What each architecture does that its config.json does not say: biases, norms, defaults of absent keys.

`FAMILIES` is the whole list; an architecture that is not in it is refused. The defaults of `Family` are Llama's: RMS
norms, no biases, gated feed-forward, untied head. Source: the public modelling code of each architecture (transformers
5.16).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

WindowRule: TypeAlias = Literal["none", "all", "alternate", "pattern", "late", "chunked"]
QueryKeyNorm: TypeAlias = Literal["none", "head", "full", "head-if-asked", "full-if-asked"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One or several `model_type`s whose layers have the same parts.

    `defaults` stand in for keys that a config may leave out. `norms` are the hidden-wide norms of a layer, each of one
    vector, two when `has_norm_bias`. `qkv_bias` and `output_bias` None follow `attention_bias`, `feed_forward_bias`
    None follows `mlp_bias`. `windows` says which layers slide when the config has no `layer_types`. `has_output_gate`
    doubles the query projection. `learned_positions` is how many rows the table of positions has beyond the context,
    None for no table. `default_expansion` times the hidden width is the feed-forward width that a config leaves out.
    """

    model_types: tuple[str, ...]
    defaults: Mapping[str, object] = field(default_factory=dict)
    is_gated: bool = True
    norms: int = 2
    has_norm_bias: bool = False
    qkv_bias: bool | None = None
    output_bias: bool | None = None
    feed_forward_bias: bool | None = None
    query_key_norm: QueryKeyNorm = "none"
    is_tied: bool = False
    windows: WindowRule = "none"
    has_output_gate: bool = False
    has_sinks: bool = False
    has_router_bias: bool = False
    has_expert_bias: bool = False
    has_shared_gate: bool = False
    has_head_bias: bool = False
    has_embedding_norm: bool = False
    learned_positions: int | None = None
    default_expansion: int | None = None


FAMILIES: tuple[Family, ...] = (
    Family(model_types=("llama", "internlm3", "arcee", "seed_oss", "minicpm", "deepseek", "yi", "aquila")),
    Family(
        model_types=("mistral", "ministral", "ministral3"),
        windows="all",
        defaults={"num_key_value_heads": 8},
    ),
    Family(model_types=("mixtral",), windows="all", defaults={"num_local_experts": 8, "num_experts_per_tok": 2}),
    Family(
        model_types=("qwen2", "qwen2_vl_text", "qwen2_vl", "qwen2_5_vl_text", "qwen2_5_vl"),
        qkv_bias=True,
        output_bias=False,
        windows="late",
        defaults={"max_window_layers": 28},
    ),
    Family(
        model_types=("qwen2_moe",),
        qkv_bias=True,
        output_bias=False,
        has_shared_gate=True,
        windows="late",
        defaults={"max_window_layers": 28},
    ),
    Family(
        model_types=("qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text"),
        query_key_norm="head",
        windows="late",
        defaults={"head_dim": 128, "max_window_layers": 28},
    ),
    Family(
        model_types=("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "qwen3_5", "qwen3_5_moe"),
        query_key_norm="head",
        has_output_gate=True,
        has_shared_gate=True,
        defaults={
            "head_dim": 256,
            "full_attention_interval": 4,
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
        },
    ),
    Family(model_types=("gemma",), is_tied=True, defaults={"head_dim": 256}),
    Family(
        model_types=("gemma2",),
        is_tied=True,
        norms=4,
        windows="alternate",
        defaults={"head_dim": 256, "sliding_window": 4096},
    ),
    Family(
        model_types=("gemma3_text", "gemma3"),
        is_tied=True,
        norms=4,
        query_key_norm="head",
        windows="pattern",
        defaults={
            "head_dim": 256,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "vocab_size": 262208,
            "max_position_embeddings": 131072,
            "sliding_window": 4096,
            "sliding_window_pattern": 6,
        },
    ),
    Family(model_types=("phi3",), windows="all"),
    Family(
        model_types=("phi",),
        is_gated=False,
        norms=1,
        has_norm_bias=True,
        qkv_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        has_head_bias=True,
    ),
    Family(
        model_types=("gptj",),
        default_expansion=4,
        is_gated=False,
        norms=1,
        has_norm_bias=True,
        qkv_bias=False,
        output_bias=False,
        feed_forward_bias=True,
        has_head_bias=True,
    ),
    Family(
        model_types=("gpt_neox",),
        is_gated=False,
        has_norm_bias=True,
        feed_forward_bias=True,
        defaults={"attention_bias": True},
    ),
    Family(
        model_types=("gpt2", "gpt_bigcode"),
        default_expansion=4,
        is_gated=False,
        has_norm_bias=True,
        qkv_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        is_tied=True,
        learned_positions=0,
    ),
    Family(
        model_types=("opt",),
        is_gated=False,
        has_norm_bias=True,
        qkv_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        is_tied=True,
        learned_positions=2,
    ),
    Family(
        model_types=("bloom",),
        default_expansion=4,
        is_gated=False,
        has_norm_bias=True,
        qkv_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        is_tied=True,
        has_embedding_norm=True,
        defaults={"max_position_embeddings": 2048},
    ),
    Family(
        model_types=("falcon",),
        default_expansion=4,
        is_gated=False,
        has_norm_bias=True,
        is_tied=True,
        defaults={"max_position_embeddings": 2048},
    ),
    Family(
        model_types=("starcoder2",),
        is_gated=False,
        has_norm_bias=True,
        qkv_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        is_tied=True,
        windows="all",
    ),
    Family(model_types=("cohere",), norms=1, is_tied=True, query_key_norm="full-if-asked"),
    Family(
        model_types=("cohere2",),
        norms=1,
        is_tied=True,
        windows="pattern",
        defaults={"sliding_window_pattern": 4},
    ),
    Family(model_types=("granite", "smollm3", "ernie4_5"), is_tied=True),
    Family(model_types=("olmo2", "olmoe"), query_key_norm="full"),
    Family(
        model_types=("gpt_oss",),
        has_sinks=True,
        has_router_bias=True,
        has_expert_bias=True,
        windows="alternate",
        defaults={"head_dim": 64, "attention_bias": True, "sliding_window": 128},
    ),
    Family(
        model_types=("llama4_text", "llama4"),
        windows="chunked",
        defaults={"head_dim": 128, "attention_chunk_size": 8192, "interleave_moe_layer_step": 1},
    ),
    Family(model_types=("deepseek_v2",)),
    Family(model_types=("deepseek_v3", "kimi_k2", "deepseek_v32", "glm_moe_dsa"), has_router_bias=True),
    Family(model_types=("glm4",), norms=4, output_bias=False, defaults={"attention_bias": True}),
    Family(model_types=("glm4_moe",), output_bias=False, has_router_bias=True, query_key_norm="head-if-asked"),
    Family(model_types=("ernie4_5_moe",), is_tied=True, has_router_bias=True),
    Family(model_types=("dots1",), has_router_bias=True, query_key_norm="head"),
    Family(model_types=("phimoe",), has_norm_bias=True, windows="all"),
    Family(model_types=("stablelm",), has_norm_bias=True),
    Family(model_types=("minimax_m2",), query_key_norm="full", has_router_bias=True, qkv_bias=False, output_bias=False),
    Family(
        model_types=("nemotron_h",),
        is_gated=False,
        has_router_bias=True,
        defaults={"mamba_ssm_cache_dtype": "float32", "conv_kernel": 4, "use_conv_bias": True},
    ),
)

OTHER_MODELS: Mapping[str, str] = {
    **dict.fromkeys(("t5", "mt5", "bart", "mbart", "pegasus", "marian", "whisper", "t5gemma"), "an encoder-decoder"),
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "distilbert", "electra", "deberta-v2", "modernbert"), "an encoder"
    ),
    **dict.fromkeys(("clip", "siglip", "vit", "resnet", "convnext", "swin", "detr", "yolos"), "a vision model"),
    **dict.fromkeys(
        (
            "mamba",
            "mamba2",
            "rwkv",
            "jamba",
            "falcon_mamba",
            "falcon_h1",
            "bamba",
            "zamba",
            "zamba2",
            "recurrent_gemma",
        ),
        "a recurrent architecture that infc has no description of",
    ),
    **dict.fromkeys(
        (
            *("deepseek_v4", "gemma3n", "gemma3n_text", "gemma4", "gemma4_text", "mllama", "mllama_text_model"),
            *(
                "kimi_k3",
                "minimax",
                "minimax_m3",
                "minimax_m3_vl",
                "deepseek_ref",
                "mimo_v2_flash",
                "nemotron-nas",
                "step3p7",
                "chatglm",
                "dbrx",
                "mpt",
            ),
        ),
        "an architecture whose layers infc has no description of",
    ),
}
"""`model_type`s that are refused: reading them as a Llama would give a wrong size."""


def family_of(model_type: str) -> Family | None:
    """The family of a `model_type`; None for one that is not listed.

    >>> family_of("gemma2").norms, family_of("a-model-of-next-year")
    (4, None)
    """
    return next((family for family in FAMILIES if model_type in family.model_types), None)
