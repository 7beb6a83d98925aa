"""The feed-forward part of a layer from a config: dense, or a mixture of experts."""

from infc.ir.llm_profile import FeedForwardShape
from infc.resolve.hf_config.families import Family
from infc.resolve.hf_config.fields import LARGEST_WIDTH, Fields
from infc.resolve.hf_config.layers import Layer, expert_count


def feed_forward_shape(fields: Fields, family: Family, layer: Layer, hidden: int) -> FeedForwardShape:
    """The part of `layer`, the norms before and after it included."""
    matrices = 3 if family.is_gated else 2
    match layer.feed_forward:
        case "none":
            return FeedForwardShape(intermediate=0, matrices=matrices, parameters=0)
        case "dense":
            return _dense(fields, family, hidden, matrices)
        case "experts":
            return _experts(fields, family, hidden, matrices)


def _norm_parameters(family: Family, hidden: int) -> int:
    """What the mixer does not count of the layer's norms."""
    return family.norms // 2 * hidden * (2 if family.has_norm_bias else 1)


def _dense(fields: Fields, family: Family, hidden: int, matrices: int) -> FeedForwardShape:
    width = fields.optional_count(
        "intermediate_size_mlp", "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", largest=LARGEST_WIDTH
    )
    if width is None:
        if family.default_expansion is None:
            width = fields.count("intermediate_size", largest=LARGEST_WIDTH)
        else:
            width = family.default_expansion * hidden
    parameters = matrices * hidden * width + _norm_parameters(family, hidden)
    has_bias = fields.flag("mlp_bias", fields.flag("use_bias", False))
    if has_bias if family.feed_forward_bias is None else family.feed_forward_bias:
        parameters += (matrices - 1) * width + hidden
    return FeedForwardShape(intermediate=width, matrices=matrices, parameters=parameters)


def _experts(fields: Fields, family: Family, hidden: int, matrices: int) -> FeedForwardShape:
    experts = expert_count(fields)
    chosen = fields.count("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_k", "moe_topk")
    if chosen > experts:
        fields.contradict("num_experts_per_tok", f"each token takes {chosen} of {experts} experts")
    width = fields.count("moe_intermediate_size", "intermediate_size", largest=LARGEST_WIDTH)
    shared = _shared_width(fields, family, width)
    latent = fields.optional_count("moe_latent_size", largest=LARGEST_WIDTH)
    expert = matrices * (latent or hidden) * width
    if family.has_expert_bias:
        expert += (matrices - 1) * width + hidden
    parameters = experts * expert + experts * hidden + matrices * hidden * shared
    parameters += _norm_parameters(family, hidden)
    if latent is not None:
        parameters += 2 * hidden * latent
    if family.has_router_bias:
        parameters += experts
    if family.has_shared_gate and shared:
        parameters += hidden
    return FeedForwardShape(
        intermediate=width,
        matrices=matrices,
        parameters=parameters,
        experts=experts,
        experts_per_token=chosen,
        shared_intermediate=shared,
        expert_parameters=expert,
    )


def _shared_width(fields: Fields, family: Family, expert_width: int) -> int:
    """The width of what every token passes besides its experts."""
    stated = fields.optional_count(
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
        largest=LARGEST_WIDTH,
        smallest=0,
    )
    count = fields.optional_count("n_shared_experts", "moe_num_shared_experts", "num_shared_experts", smallest=0)
    if stated is not None:
        return stated * (1 if count is None else max(1, count)) if count != 0 else 0
    if count is not None:
        return count * expert_width
    return expert_width if family.windows == "chunked" else 0
