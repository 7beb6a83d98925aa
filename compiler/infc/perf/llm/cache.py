"""The key-value cache of a language model, counted as vLLM allocates it: pages of 16 tokens, shared by all layers.

On a CPU pages hold 128 tokens.

Source: vLLM 0.32, `v1/kv_cache_interface.py` and `v1/core/kv_cache_utils.py` (read; facts only).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.hardware import HardwareKind
from infc.ir.llm_profile import AttentionKind, AttentionShape, LlmProfile
from infc.ir.precision import Precision

BLOCK_TOKENS = 16
CPU_BLOCK_TOKENS = 128
"""Tokens of a page on a CPU; its kernels for a latent cache need the usual 16."""
ELEMENT_BYTES: Mapping[Precision, float] = {
    Precision.FP32: 4.0,
    Precision.TF32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP16: 2.0,
    Precision.FP8: 1.0,
    Precision.INT8: 1.0,
    Precision.INT4: 0.5,
    Precision.FP4: 0.5 + 1 / 16,
}
"""Bytes of one cached element; NVFP4 keeps an 8-bit scale for 16 of them."""
_HEAD_SCALES_BYTES = 8
"""An INT8 cache keeps an FP32 scale for each head's key, and one for its value, with every token."""
_ROTARY_DIM = 64
_STATES_WITH_PREFIX_CACHE = 2
"""Recurrent states that a sequence holds when prefixes are cached, vLLM's default: the running one and a saved one."""
_UNEVEN = 1.5
"""vLLM pads the smaller kind of layer to the larger one below this ratio, and divides the larger one above it."""


@dataclass(frozen=True, kw_only=True)
class CacheLayers:
    """Layers of one device that cache alike: `token_bytes` for each token, `state_bytes` for each sequence."""

    layers: int
    token_bytes: float
    window_tokens: int | None
    state_bytes: float


def cache_precision(model: LlmProfile, asked: Precision | None) -> Precision:
    """The precision of the cache: as asked, else as the checkpoint fixes it, else the model's dtype."""
    if asked is not None:
        return asked
    stored = model.quantization
    return stored.kv_precision if stored is not None and stored.kv_precision is not None else model.dtype


def kv_bytes_per_token(model: LlmProfile, kv_precision: Precision | None = None, tensor_parallel: int = 1) -> float:
    """Bytes that one more token takes in the cache of one device, all layers together.

    Key-value heads are copied where there are fewer of them than devices; the latent cache is on every device. Layers
    with a window are counted as long as the sequence is within it; recurrent layers cache no tokens.
    """
    return sum(each.layers * each.token_bytes for each in cache_layers(model, kv_precision, tensor_parallel))


def block_tokens_of(model: LlmProfile, kind: HardwareKind) -> int:
    """Tokens of a page of the cache on a kind of device.

    Source: vLLM 0.32, `platforms/cpu.py`.
    """
    is_latent = any(group.attention.kind is AttentionKind.LATENT for group in model.groups)
    return CPU_BLOCK_TOKENS if kind == "cpu" and not is_latent else BLOCK_TOKENS


def sequence_cache_bytes(
    model: LlmProfile,
    tokens: int,
    kv_precision: Precision | None = None,
    tensor_parallel: int = 1,
    block_tokens: int = BLOCK_TOKENS,
) -> float:
    """Bytes of one device that a sequence of `tokens` tokens occupies, in whole pages of `block_tokens`.

    Layers that cache alike form groups of equal size, and every group takes its pages from the same pool; a group that
    is not full wastes the rest of its pages, and recurrent layers make pages as large as one state.
    """
    kinds = cache_layers(model, kv_precision, tensor_parallel)
    growing = [kind for kind in kinds if kind.token_bytes]
    states = [kind for kind in kinds if kind.state_bytes]
    if not growing:
        return sum(kind.layers * kind.state_bytes * _STATES_WITH_PREFIX_CACHE for kind in states)
    size = _group_size([kind.layers for kind in (*growing, *states)])
    token_bytes = max(kind.token_bytes for kind in growing)
    largest_state = max((kind.state_bytes for kind in states), default=0.0)
    block = block_tokens * max(1, math.ceil(largest_state / (block_tokens * token_bytes)))
    page_bytes = size * block * token_bytes
    pages = 0
    for kind in growing:
        pages += math.ceil(kind.layers / size) * _blocks(tokens, kind.window_tokens, block)
    for kind in states:
        pages += math.ceil(kind.layers / size) * _STATES_WITH_PREFIX_CACHE
    return pages * page_bytes


def cache_layers(
    model: LlmProfile, kv_precision: Precision | None = None, tensor_parallel: int = 1
) -> tuple[CacheLayers, ...]:
    """The layers of a model by what they cache on one of `tensor_parallel` devices; layers without a cache left out."""
    precision = cache_precision(model, kv_precision)
    counts: dict[tuple[float, int | None, float], int] = {}
    for group in model.groups:
        token_bytes = _token_bytes(group.attention, precision, tensor_parallel)
        state_bytes = group.attention.state_bytes / tensor_parallel
        if token_bytes or state_bytes:
            key = (token_bytes, group.attention.window_tokens, state_bytes)
            counts[key] = counts.get(key, 0) + group.count
    return tuple(
        CacheLayers(layers=count, token_bytes=key[0], window_tokens=key[1], state_bytes=key[2])
        for key, count in counts.items()
    )


def _token_bytes(shape: AttentionShape, precision: Precision, tensor_parallel: int) -> float:
    element = ELEMENT_BYTES[precision]
    match shape.kind:
        case AttentionKind.GROUPED:
            heads = max(1, math.ceil(shape.kv_heads / tensor_parallel))
            scales = _HEAD_SCALES_BYTES if precision is Precision.INT8 else 0
            return heads * ((shape.head_dim + shape.value_head_dim) * element + scales)
        case AttentionKind.LATENT:
            if shape.index_bytes and precision is Precision.FP8:
                # Sparse attention keeps an FP32 scale for 128 latent elements, and its rotary part in 16 bits.
                rank = shape.latent_dim - _ROTARY_DIM
                return rank + 4 * rank / 128 + 2 * _ROTARY_DIM + shape.index_bytes
            return shape.latent_dim * element + shape.index_bytes
        case AttentionKind.LINEAR:
            return 0.0


def _group_size(layers: list[int]) -> int:
    smallest, largest = min(layers), max(layers)
    return largest if largest < _UNEVEN * smallest else smallest


def _blocks(tokens: int, window_tokens: int | None, block: int) -> int:
    """Pages of one group for a sequence; a window that starts inside a page needs one more."""
    held = math.ceil(tokens / block)
    return held if window_tokens is None else min(held, math.ceil((window_tokens - 1) / block) + 1)
