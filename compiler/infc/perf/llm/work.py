"""What one device of a tensor-parallel group has to do in a step, counted from the shapes of the model's layers."""

from dataclasses import dataclass

from infc.ir.llm_profile import AttentionKind, AttentionShape, FeedForwardShape, LlmProfile


@dataclass(frozen=True, kw_only=True)
class ExpertWork:
    """Layers whose feed-forward part is a mixture of experts.

    `parameters` are the weights of one expert that one device holds, `intermediate` its width there.
    """

    layers: int
    experts: int
    experts_per_token: int
    parameters: float
    intermediate: float


@dataclass(frozen=True, kw_only=True)
class AttentionWork:
    """Layers that attend alike.

    `row_elements` are what one token's queries, keys, values and output count, `cached_elements` what it keeps in one
    layer's cache on one device. `pair_flops` are the operations of one (query, key) pair in a prefill, `read_flops` in
    a decode step (latent attention decodes in the compressed space and does more). `state_elements` are kept a
    sequence, whatever its length.
    """

    layers: int
    row_elements: float
    cached_elements: float
    pair_flops: float
    read_flops: float
    state_elements: float
    window_tokens: int | None
    is_linear: bool


@dataclass(frozen=True, kw_only=True)
class LlmWork:
    """One device's share of a step, for one token where it depends on tokens.

    `matrix_parameters` are the weights that every token passes: projections, dense feed-forward parts, shared experts,
    routers. `matrix_kernels` is how many products read them. `hidden` is the width of the residual stream.
    """

    layers: int
    hidden: int
    intermediate: float
    matrix_parameters: float
    matrix_kernels: int
    head_parameters: float
    experts: tuple[ExpertWork, ...]
    attention: tuple[AttentionWork, ...]


def llm_work(model: LlmProfile, tensor_parallel: int) -> LlmWork:
    """Count the work of one of `tensor_parallel` devices.

    Projections, experts and the output head are divided evenly; key-value heads are copied where there are fewer of
    them than devices, and the latent cache is copied on every device.
    """
    matrix_parameters, kernels, intermediate = 0.0, 0, 0.0
    experts, attention = [], []
    counts: dict[tuple[AttentionShape, FeedForwardShape], int] = {}
    for group in model.groups:
        shapes = (group.attention, group.feed_forward)
        counts[shapes] = counts.get(shapes, 0) + group.count
    for (mixer, feed), count in counts.items():
        matrix_parameters += count * mixer.parameters / tensor_parallel
        kernels += count * (4 if mixer.kind is AttentionKind.LATENT else 2)
        width = feed.shared_intermediate if feed.experts else feed.intermediate
        intermediate += count * width / tensor_parallel
        if feed.experts:
            one = feed.expert_parameters
            rest = feed.parameters - feed.experts * one
            matrix_parameters += count * rest / tensor_parallel
            kernels += count * (3 if feed.shared_intermediate else 1)
            experts.append(
                ExpertWork(
                    layers=count,
                    experts=feed.experts,
                    experts_per_token=feed.experts_per_token,
                    parameters=one / tensor_parallel,
                    intermediate=feed.intermediate / tensor_parallel,
                )
            )
        else:
            matrix_parameters += count * feed.parameters / tensor_parallel
            kernels += count * 2
        attention.append(_attention(count, mixer, tensor_parallel))
    return LlmWork(
        layers=model.layers,
        hidden=model.hidden,
        intermediate=intermediate / model.layers,
        matrix_parameters=matrix_parameters,
        matrix_kernels=kernels,
        head_parameters=model.head_parameters / tensor_parallel,
        experts=tuple(experts),
        attention=tuple(attention),
    )


def _attention(layers: int, mixer: AttentionShape, tensor_parallel: int) -> AttentionWork:
    heads = mixer.query_heads / tensor_parallel
    pair = 2.0 * heads * (mixer.head_dim + mixer.value_head_dim)
    match mixer.kind:
        case AttentionKind.GROUPED:
            kv_heads = max(1.0, mixer.kv_heads / tensor_parallel)
            cached, read = kv_heads * (mixer.head_dim + mixer.value_head_dim), pair
        case AttentionKind.LATENT:
            cached, read = float(mixer.latent_dim), 4.0 * heads * mixer.latent_dim
        case AttentionKind.LINEAR:
            cached, read, pair = 0.0, 0.0, 0.0
    return AttentionWork(
        layers=layers,
        row_elements=(heads + mixer.kv_heads / tensor_parallel) * (mixer.head_dim + mixer.value_head_dim),
        cached_elements=cached,
        pair_flops=pair,
        read_flops=read,
        state_elements=mixer.state_elements / tensor_parallel,
        window_tokens=mixer.window_tokens,
        is_linear=mixer.kind is AttentionKind.LINEAR,
    )
