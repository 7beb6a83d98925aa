"""What each layer of a config is: its token mixer, its window, and whether its feed-forward part is a mixture."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.resolve.hf_config.families import Family
from infc.resolve.hf_config.fields import LARGEST_CONTEXT, Fields

MixerKind: TypeAlias = Literal["attention", "linear", "state-space", "none"]
FeedForwardKind: TypeAlias = Literal["dense", "experts", "none"]

MAX_LAYERS = 4096
_FULL = ("full_attention", "attention", "global_attention", "global", "deepseek_sparse_attention")
_LOCAL = ("sliding_attention", "local_attention", "local", "chunked_attention")
_LETTERS = "M*-E"
_LETTER_OF_BLOCK = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One decoder layer before its sizes are known. `window_tokens` None sees all tokens."""

    mixer: MixerKind
    window_tokens: int | None
    feed_forward: FeedForwardKind


def layer_plan(fields: Fields, family: Family, max_context_tokens: int) -> tuple[Layer, ...]:
    """The decoder layers in order; multi-token-prediction layers are no part of them."""
    if fields.has("hybrid_override_pattern") or fields.has("layers_block_type"):
        return _pattern_layers(fields)
    count = fields.count("num_hidden_layers", "n_layer", "n_layers", "num_layers", largest=MAX_LAYERS)
    mixers = _mixers(fields, family, count, max_context_tokens)
    kinds = _feed_forward_kinds(fields, count)
    return tuple(
        Layer(mixer=mixer, window_tokens=window, feed_forward=kind)
        for (mixer, window), kind in zip(mixers, kinds, strict=True)
    )


def _mixers(
    fields: Fields, family: Family, count: int, max_context_tokens: int
) -> tuple[tuple[MixerKind, int | None], ...]:
    window = _window_tokens(fields, family, max_context_tokens)
    types = fields.texts("layer_types")
    if types is None:
        interval = fields.optional_count("full_attention_interval")
        if interval is not None:
            return tuple(("attention" if (i + 1) % interval == 0 else "linear", None) for i in range(count))
        return tuple(("attention", window if _slides(fields, family, i) else None) for i in range(count))
    if len(types) != count:
        fields.contradict("layer_types", f"layer_types names {len(types)} layers and the model has {count}")
        return (("attention", None),) * count
    found: list[tuple[MixerKind, int | None]] = []
    for name in types:
        if name in _LOCAL:
            found.append(("attention", window))
        elif name == "linear_attention":
            found.append(("linear", None))
        else:
            if name not in _FULL:
                fields.refuse("layer_types", name, "full_attention, sliding_attention or linear_attention")
            found.append(("attention", None))
    return tuple(found)


def _window_tokens(fields: Fields, family: Family, max_context_tokens: int) -> int | None:
    """The window of the layers that have one; None where it holds all that the model can see anyway."""
    if family.windows == "late" and not fields.flag("use_sliding_window", False):
        return None
    name = "attention_chunk_size" if family.windows == "chunked" else "sliding_window"
    window = fields.optional_count(name, largest=LARGEST_CONTEXT)
    return None if window is None or window >= max_context_tokens else window


def _slides(fields: Fields, family: Family, index: int) -> bool:
    match family.windows:
        case "none":
            return False
        case "all":
            return True
        case "alternate":
            return index % 2 == 0
        case "pattern":
            return (index + 1) % fields.count("sliding_window_pattern") != 0
        case "late":
            return index >= fields.count("max_window_layers", smallest=0)
        case "chunked":
            return (index + 1) % 4 != 0


def _feed_forward_kinds(fields: Fields, count: int) -> tuple[FeedForwardKind, ...]:
    dense: FeedForwardKind = "dense"
    if not expert_count(fields):
        return (dense,) * count
    only_dense = set(fields.counts("mlp_only_layers") or ())
    sparse_step = fields.optional_count("decoder_sparse_step") or 1
    first_dense = fields.optional_count("first_k_dense_replace", "moe_layer_start_index", smallest=0) or 0
    frequency = fields.optional_count("moe_layer_freq", "moe_layer_interval") or 1
    interleave = fields.optional_count("interleave_moe_layer_step") or 1
    listed = fields.counts("moe_layers")
    kinds: list[FeedForwardKind] = []
    for i in range(count):
        is_mixture = (
            i not in only_dense
            and (i + 1) % sparse_step == 0
            and i >= first_dense
            and i % frequency == 0
            and (i in listed if listed is not None else (i + 1) % interleave == 0)
        )
        kinds.append("experts" if is_mixture else "dense")
    return tuple(kinds)


def expert_count(fields: Fields) -> int:
    """Routed experts of a mixture layer; 0 for a dense model."""
    found = fields.optional_count("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", smallest=0)
    return 0 if found is None or found == 1 else found


def _pattern_layers(fields: Fields) -> tuple[Layer, ...]:
    """Layers of Nemotron-H: a letter is one mixer or one feed-forward part; a part that follows a mixer joins it."""
    blocks = fields.texts("layers_block_type") or ()
    pattern = fields.text("hybrid_override_pattern") or "".join(_LETTER_OF_BLOCK.get(block, "?") for block in blocks)
    if not 0 < len(pattern) <= MAX_LAYERS or set(pattern) - set(_LETTERS):
        fields.refuse("hybrid_override_pattern", pattern, "a text of M, *, - and E")
        return ()
    layers: list[Layer] = []
    for letter in pattern:
        match letter:
            case "M":
                layers.append(Layer(mixer="state-space", window_tokens=None, feed_forward="none"))
            case "*":
                layers.append(Layer(mixer="attention", window_tokens=None, feed_forward="none"))
            case _:
                kind: FeedForwardKind = "experts" if letter == "E" else "dense"
                if layers and layers[-1].feed_forward == "none":
                    last = layers.pop()
                    layers.append(Layer(mixer=last.mixer, window_tokens=None, feed_forward=kind))
                else:
                    layers.append(Layer(mixer="none", window_tokens=None, feed_forward=kind))
    return tuple(layers)
