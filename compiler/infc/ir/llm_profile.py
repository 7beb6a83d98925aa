"""A language model as the performance models see it: the shapes of its layers, read from its config.json."""

from dataclasses import dataclass
from enum import StrEnum

from infc.ir.model_profile import Caveat
from infc.ir.precision import Precision


class AttentionKind(StrEnum):
    """How a layer attends, which decides what it caches."""

    GROUPED = "grouped"
    LATENT = "latent"
    LINEAR = "linear"


@dataclass(frozen=True, kw_only=True)
class AttentionShape:
    """The token mixer of a layer.

    GROUPED is multi-head, grouped-query and multi-query attention: a token caches a key of `head_dim` and a value of
    `value_head_dim` elements for each of `kv_heads`. LATENT (MLA) caches `latent_dim` elements (compressed key-value
    and the rotary part) once, whatever the number of heads. LINEAR (linear attention, state space) caches no tokens but
    `state_elements` a sequence. `window_tokens` bounds what a token attends to, None for all before it.
    `parameters` counts the weights of its projections, norms and biases included; `replicated_parameters` of them are
    held whole by every tensor-parallel device. A LINEAR state takes `state_bytes`.
    `attended_tokens` is set for sparse attention: all tokens stay cached, and a query reads the best this many.
    `index_bytes` is what its index caches besides, for each token, whatever the precision of the cache.
    """

    kind: AttentionKind
    query_heads: int
    kv_heads: int
    head_dim: int
    value_head_dim: int
    parameters: int
    window_tokens: int | None = None
    latent_dim: int = 0
    state_elements: int = 0
    state_bytes: int = 0
    attended_tokens: int | None = None
    index_bytes: int = 0
    replicated_parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class FeedForwardShape:
    """The feed-forward part of a layer: dense (`experts` 0), or a mixture of experts.

    `intermediate` is the width of the dense part or of one expert, `matrices` 3 when it is gated, else 2.
    `shared_intermediate` is the width of what every token also passes in a mixture (shared experts), 0 for none.
    `parameters` counts all of it: every expert, the router, the norms; `expert_parameters` one routed expert.
    """

    intermediate: int
    matrices: int
    parameters: int
    experts: int = 0
    experts_per_token: int = 0
    shared_intermediate: int = 0
    expert_parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class LayerGroup:
    """`count` layers of equal shape."""

    count: int
    attention: AttentionShape
    feed_forward: FeedForwardShape


class LayerPart(StrEnum):
    """What a checkpoint quantises, or leaves as it was."""

    ATTENTION = "attention"
    DENSE = "dense"
    EXPERTS = "experts"
    SHARED_EXPERTS = "shared-experts"


@dataclass(frozen=True, kw_only=True)
class CheckpointQuantization:
    """How a checkpoint is already quantised.

    `method` is the library's name as the config has it (fp8, awq, gptq, compressed-tensors, modelopt, mxfp4).
    `activation_precision` None is weight-only. `group_size` is the number of weights that share a scale, None for
    per channel or per tensor. `kv_precision` is that of the cache where the checkpoint fixes it. `unquantized` are the
    parts of layers that keep the model's dtype; embeddings, head, norms and routers always do. `scale_bytes` is what
    one scale takes (0 for none), zero points included.
    """

    method: str
    weight_precision: Precision
    activation_precision: Precision | None
    group_size: int | None = None
    kv_precision: Precision | None = None
    unquantized: tuple[LayerPart, ...] = ()
    scale_bytes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LlmProfile:
    """Everything a plan needs to know of a language model; stored, so that a later plan needs no checkpoint.

    `digest` is the sha256 of the canonical config.json. `architecture` is its first `architectures` entry. `dtype` is
    the precision of the weights that are not quantised. `embedding_parameters` are the token embeddings, counted once
    more in `head_parameters` unless `is_tied`; `other_parameters` are the final norm and learned positions. `groups`
    are the decoder layers in order. `caveats` are what the config does not say.
    """

    name: str
    digest: str
    architecture: str
    hidden: int
    vocabulary: int
    groups: tuple[LayerGroup, ...]
    embedding_parameters: int
    head_parameters: int
    is_tied: bool
    dtype: Precision
    max_context_tokens: int
    quantization: CheckpointQuantization | None = None
    caveats: tuple[Caveat, ...] = ()
    other_parameters: int = 0

    @property
    def layers(self) -> int:
        """Decoder layers."""
        return sum(group.count for group in self.groups)

    @property
    def parameters(self) -> int:
        """All weights, experts included; tied embeddings once."""
        own_head = 0 if self.is_tied else self.head_parameters
        layers = sum(g.count * (g.attention.parameters + g.feed_forward.parameters) for g in self.groups)
        return self.embedding_parameters + own_head + layers + self.other_parameters
