"""The token mixer of a layer from a config: grouped-query attention, latent attention, linear attention, Mamba-2."""

from infc.ir.llm_profile import AttentionKind, AttentionShape
from infc.resolve.hf_config.families import Family
from infc.resolve.hf_config.fields import LARGEST_CONTEXT, LARGEST_WIDTH, Fields
from infc.resolve.hf_config.layers import Layer

_FLOAT32_BYTES = 4
_HALF_BYTES = 2
INDEX_SCALE_BYTES = 4
"""An index key is cached in FP8 with one FP32 scale (DeepSeek V3.2's sparse attention; vLLM 0.32 does the same)."""


def attention_shape(fields: Fields, family: Family, layer: Layer, hidden: int) -> AttentionShape:
    """The mixer of `layer`, the norms before and after it included."""
    norms = _norm_parameters(family, hidden, has_mixer=layer.mixer != "none")
    match layer.mixer:
        case "none":
            return _without_mixer()
        case "linear":
            return _delta_net(fields, hidden, norms)
        case "state-space":
            return _mamba(fields, hidden, norms)
        case "attention":
            if fields.has("kv_lora_rank"):
                return _latent(fields, hidden, norms)
            return _grouped(fields, family, layer, hidden, norms)


def _norm_parameters(family: Family, hidden: int, *, has_mixer: bool) -> int:
    """The mixer's share of the layer's norms: half, the larger half of an odd number."""
    share = (family.norms + 1) // 2
    return share * hidden * (2 if family.has_norm_bias else 1) if has_mixer else 0


def _grouped(fields: Fields, family: Family, layer: Layer, hidden: int, norms: int) -> AttentionShape:
    heads = fields.count("num_attention_heads", "n_head", "n_heads")
    kv_heads = fields.optional_count("num_key_value_heads", "num_kv_heads", "n_head_kv") or heads
    head_dim = fields.optional_count("head_dim", "attention_head_dim", largest=LARGEST_WIDTH)
    if heads % kv_heads:
        fields.contradict("num_key_value_heads", f"{heads} attention heads cannot share {kv_heads} key-value heads")
    if head_dim is None:
        if hidden % heads:
            fields.contradict("head_dim", f"no head_dim, and hidden_size {hidden} is no multiple of {heads} heads")
        head_dim = max(1, hidden // heads)
    query_width, kv_width = heads * head_dim, kv_heads * head_dim
    gate = 2 if family.has_output_gate else 1
    parameters = hidden * (gate * query_width + 2 * kv_width) + query_width * hidden + norms
    default_bias = fields.flag("attention_bias", fields.flag("use_bias", False))
    if fields.flag("use_qkv_bias", default_bias) if family.qkv_bias is None else family.qkv_bias:
        parameters += gate * query_width + 2 * kv_width
    replicated = norms + _query_key_norms(fields, family, head_dim, query_width + kv_width)
    if default_bias if family.output_bias is None else family.output_bias:
        replicated += hidden
    parameters += replicated - norms
    if family.has_sinks:
        parameters += heads
    return AttentionShape(
        kind=AttentionKind.GROUPED,
        query_heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_head_dim=head_dim,
        parameters=parameters,
        window_tokens=layer.window_tokens,
        replicated_parameters=replicated,
    )


def _query_key_norms(fields: Fields, family: Family, head_dim: int, full_width: int) -> int:
    is_asked = fields.flag("use_qk_norm", False)
    match family.query_key_norm:
        case "none":
            return 0
        case "head":
            return 2 * head_dim
        case "full":
            return full_width
        case "head-if-asked":
            return 2 * head_dim if is_asked else 0
        case "full-if-asked":
            return full_width if is_asked else 0


def _latent(fields: Fields, hidden: int, norms: int) -> AttentionShape:
    """Multi-head latent attention of DeepSeek V2 and later, with the index of its sparse variant where there is one."""
    heads = fields.count("num_attention_heads")
    rank = fields.count("kv_lora_rank", largest=LARGEST_WIDTH)
    query_rank = fields.optional_count("q_lora_rank", largest=LARGEST_WIDTH)
    plain = fields.count("qk_nope_head_dim", largest=LARGEST_WIDTH)
    rotary = fields.count("qk_rope_head_dim", largest=LARGEST_WIDTH)
    value = fields.count("v_head_dim", largest=LARGEST_WIDTH)
    head_dim = plain + rotary
    has_bias = fields.flag("attention_bias", False)
    parameters = norms + hidden * (rank + rotary) + rank + rank * heads * (plain + value) + heads * value * hidden
    if has_bias:
        parameters += rank + rotary + hidden
    if query_rank is None:
        parameters += hidden * heads * head_dim
    else:
        parameters += hidden * query_rank + query_rank + query_rank * heads * head_dim
        parameters += query_rank if has_bias else 0
    replicated = norms + hidden * (rank + rotary + (query_rank or 0)) + rank + (query_rank or 0)
    attended, index_bytes = None, 0
    if fields.has("index_head_dim"):
        index_dim = fields.count("index_head_dim", largest=LARGEST_WIDTH)
        index_heads = fields.count("index_n_heads")
        index = (query_rank or hidden) * index_heads * index_dim + hidden * (index_dim + index_heads) + 2 * index_dim
        parameters += index
        replicated += index
        attended = fields.optional_count("index_topk", largest=LARGEST_CONTEXT)
        index_bytes = index_dim + INDEX_SCALE_BYTES
    return AttentionShape(
        kind=AttentionKind.LATENT,
        query_heads=heads,
        kv_heads=1,
        head_dim=head_dim,
        value_head_dim=value,
        parameters=parameters,
        latent_dim=rank + rotary,
        attended_tokens=attended,
        index_bytes=index_bytes,
        replicated_parameters=replicated,
    )


def _delta_net(fields: Fields, hidden: int, norms: int) -> AttentionShape:
    """The gated delta net of Qwen3-Next and Qwen3.5."""
    key_heads = fields.count("linear_num_key_heads")
    value_heads = fields.count("linear_num_value_heads")
    key_dim = fields.count("linear_key_head_dim", largest=LARGEST_WIDTH)
    value_dim = fields.count("linear_value_head_dim", largest=LARGEST_WIDTH)
    kernel = fields.count("linear_conv_kernel_dim")
    key_width, value_width = key_heads * key_dim, value_heads * value_dim
    mixed = 2 * key_width + value_width
    parameters = norms + hidden * (mixed + value_width + 2 * value_heads) + value_width * hidden
    parameters += mixed * kernel + 2 * value_heads + value_dim
    return _recurrent(
        heads=value_heads,
        head_dim=key_dim,
        value_head_dim=value_dim,
        parameters=parameters,
        state=value_heads * key_dim * value_dim,
        convolution=mixed * (kernel - 1),
        state_element_bytes=_state_element_bytes(fields.text("mamba_ssm_dtype")),
        replicated=norms + value_dim,
    )


def _mamba(fields: Fields, hidden: int, norms: int) -> AttentionShape:
    """The Mamba-2 mixer of Nemotron-H."""
    heads = fields.count("mamba_num_heads")
    head_dim = fields.count("mamba_head_dim", largest=LARGEST_WIDTH)
    state_size = fields.count("ssm_state_size", largest=LARGEST_WIDTH)
    groups = fields.count("n_groups")
    kernel = fields.count("conv_kernel")
    width = heads * head_dim
    convolved = width + 2 * groups * state_size
    parameters = norms + hidden * (width + convolved + heads) + width * hidden + convolved * kernel + 3 * heads + width
    if fields.flag("use_conv_bias", True):
        parameters += convolved
    if fields.flag("use_bias", False):
        parameters += width + convolved + heads + hidden
    return _recurrent(
        heads=heads,
        head_dim=state_size,
        value_head_dim=head_dim,
        parameters=parameters,
        state=heads * head_dim * state_size,
        convolution=convolved * (kernel - 1),
        state_element_bytes=_state_element_bytes(fields.text("mamba_ssm_cache_dtype")),
        replicated=norms,
    )


def _recurrent(
    *,
    heads: int,
    head_dim: int,
    value_head_dim: int,
    parameters: int,
    state: int,
    convolution: int,
    state_element_bytes: int,
    replicated: int,
) -> AttentionShape:
    return AttentionShape(
        kind=AttentionKind.LINEAR,
        query_heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        value_head_dim=value_head_dim,
        parameters=parameters,
        state_elements=state + convolution,
        state_bytes=state * state_element_bytes + convolution * _HALF_BYTES,
        replicated_parameters=replicated,
    )


def _state_element_bytes(dtype: str | None) -> int:
    return _FLOAT32_BYTES if dtype == "float32" else _HALF_BYTES


def _without_mixer() -> AttentionShape:
    return AttentionShape(
        kind=AttentionKind.LINEAR, query_heads=1, kv_heads=1, head_dim=1, value_head_dim=1, parameters=0
    )
