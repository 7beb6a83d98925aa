"""Device memory of a language-model server: weights, activations, CUDA graphs, runtime, and the cache that is left.

vLLM gives the cache whatever the asked share of the device leaves after a profiling run; this counts the same parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.estimate import MemoryBreakdown
from infc.ir.hardware import Hardware
from infc.ir.llm_profile import AttentionKind, AttentionShape, FeedForwardShape, LayerPart, LlmProfile
from infc.ir.precision import Precision
from infc.perf.llm.cache import block_tokens_of, kv_bytes_per_token, sequence_cache_bytes
from infc.perf.llm.stages import stage_models
from infc.perf.memory import CUDA_CONTEXT_BYTES, GIB, usable_memory_bytes

DEFAULT_MEMORY_UTILIZATION = 0.92
"""vLLM 0.32's default of `gpu_memory_utilization`."""
TYPICAL_CONTEXT_TOKENS = 2048
"""Length of a sequence where nobody says it; it matters only for windows and recurrent layers."""
SAMPLER_BYTES = 36.0
"""Bytes for each (sequence, vocabulary entry) that sampling takes at its peak.

Counted from its copies: logits in 16 and 32 bits, a working copy, sorted values with 64-bit indices, probabilities,
their cumulative sum, a mask, the result. The peak of Llama 3 8B on an H100 with 256 sequences (1.26 GiB, log in vLLM
pull request 10511) agrees: 1.18 GiB.
"""
GRAPH_BYTES = 0.25 * GIB
GRAPH_LAYER_BYTES = 10 * 2.0**20
"""CUDA graphs: a pool, and for each layer its share of about 85 captured graphs (0.73 GiB logged by vLLM for a model of
some 30 to 50 layers; 24 MiB a full graph).
"""
RUNTIME_BYTES = 0.5 * GIB
"""Libraries and work spaces outside PyTorch's pool, the CUDA context apart: 0.2 to 0.35 GiB logged on one device."""
CPU_RUNTIME_BYTES = 2.4e9
"""The three processes of a server on a CPU (API, engine, worker) besides weights and cache.

Source: 0.6, 0.6 and 1.15 GB resident, measured with vLLM 0.32 and models of a few MB.
"""
HOST_BYTES = CPU_RUNTIME_BYTES
"""What the processes of a server hold of a Jetson's memory besides what they hold for the GPU: on other devices that is
the host's, here it is the same memory.

Taken from the same processes on a CPU, without what PyTorch's CUDA libraries add; nothing was measured on a module.
"""
COLLECTIVE_BYTES = 1.5 * GIB
"""NCCL's buffers and those of the custom all-reduce, on each of several devices.

Source: Qwen3-235B on 4 H100 (vLLM issue 21348): 8.0 GiB beside weights and cache, of which sampling 5.2 GiB.
"""
FRAGMENTATION = 1.05
"""The caching allocator's pool over the peak of live tensors."""
HBM_VISIBLE = 0.995 * 2.0**30 / 1e9
"""HBM is sold by the GiB and shown almost whole.

Source: nvidia-smi shows 81559 MiB on an H100 80GB, 143771 MiB on an H200 141GB, 183359 MiB on a B200 180GB. GDDR with
error correction shows about its nominal 10^9 bytes (46068 MiB on an L40S 48GB, 23034 MiB on an L4 24GB).
"""
_HALF = 2.0


@dataclass(frozen=True, kw_only=True)
class LlmMemory:
    """Memory of one device of a replica.

    The cache in `breakdown` is all that is left for it, at least 0; `kv_cache_tokens` is what all sequences of one
    replica can cache together, 0 or less when the rest already does not fit. `budget_bytes` is what the server may use.
    """

    breakdown: MemoryBreakdown
    kv_cache_tokens: int
    budget_bytes: float


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How the linear layers of a model are stored: `weight_bytes` each, scales included."""

    weight_bytes: float
    unquantized: tuple[LayerPart, ...]


_SCALE_OVERHEAD: Mapping[Precision, float] = {Precision.INT4: 2.5 / 128, Precision.FP4: 1 / 16}
"""Bytes of scales for a weight where the checkpoint does not say: AWQ in groups of 128, NVFP4 in groups of 16."""


def weight_bytes(model: LlmProfile, precision: Precision, tensor_parallel: int = 1) -> float:
    """Bytes of weights on one of `tensor_parallel` devices when the linear layers are held in `precision`.

    Embeddings, head, norms, routers and biases keep 16 bits, as does what the checkpoint leaves unquantised. Where
    `precision` is that of the checkpoint, its own groups and scales count.
    """
    storage = storage_of(model, precision)
    wide = _wide_bytes(precision)
    head = 0 if model.is_tied else model.head_parameters
    total = wide * ((model.embedding_parameters + head) / tensor_parallel + model.other_parameters)
    for group in model.groups:
        attention = wide if LayerPart.ATTENTION in storage.unquantized else storage.weight_bytes
        total += group.count * _attention_bytes(group.attention, model.hidden, attention, wide, tensor_parallel)
        total += group.count * _feed_forward_bytes(group.feed_forward, model.hidden, storage, wide, tensor_parallel)
    return total


def storage_of(model: LlmProfile, precision: Precision) -> Storage:
    """How linear layers are stored in `precision`: as in the checkpoint when it is in that precision already."""
    stored = model.quantization
    if stored is not None and stored.weight_precision is precision:
        scales = stored.scale_bytes / stored.group_size if stored.group_size else 0.0
        return Storage(weight_bytes=precision.weight_bytes + scales, unquantized=stored.unquantized)
    return Storage(weight_bytes=precision.weight_bytes + _SCALE_OVERHEAD.get(precision, 0.0), unquantized=())


def llm_memory(
    model: LlmProfile,
    hardware: Hardware,
    precision: Precision,
    *,
    tensor_parallel: int,
    kv_precision: Precision | None,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    memory_utilization: float = DEFAULT_MEMORY_UTILIZATION,
    reserved_bytes: float | None = None,
    context_tokens: int | None = None,
    cache_limit_bytes: float | None = None,
    pipeline_parallel: int = 1,
) -> LlmMemory:
    """Memory of one device, and the tokens that the rest of it can cache.

    `context_tokens` is the usual length of a sequence with its output: windows and recurrent states make the cost of a
    token depend on it. `reserved_bytes` is what a Jetson leaves to its system (None: infc's own assumption).
    `cache_limit_bytes` is the most that the cache is given; one page of it stays empty (vLLM's null block). Of several
    pipeline stages it is the one that caches the fewest tokens: every stage has as many blocks.
    """
    budget = budget_bytes(hardware, memory_utilization, reserved_bytes)
    context = context_tokens or min(TYPICAL_CONTEXT_TOKENS, model.max_context_tokens)
    block = block_tokens_of(model, hardware.kind)
    found: list[LlmMemory] = []
    for stage in stage_models(model, pipeline_parallel):
        weights = weight_bytes(stage, precision, tensor_parallel)
        activations = activation_bytes(stage, max_num_seqs, max_num_batched_tokens, tensor_parallel)
        runtime = runtime_bytes(stage, hardware, tensor_parallel * pipeline_parallel)
        used = left = budget - weights - activations - runtime
        if cache_limit_bytes is not None:
            left = min(left, cache_limit_bytes)
            used = left - sequence_cache_bytes(stage, 1, kv_precision, tensor_parallel, block)
        sequence = sequence_cache_bytes(stage, context, kv_precision, tensor_parallel, block)
        found.append(
            LlmMemory(
                breakdown=MemoryBreakdown(
                    weights_bytes=weights,
                    activations_bytes=activations,
                    kv_cache_bytes=max(0.0, left),
                    runtime_bytes=runtime,
                ),
                kv_cache_tokens=_cached_tokens(stage, used, context, sequence, kv_precision, tensor_parallel, block),
                budget_bytes=budget,
            )
        )
    return min(found, key=lambda memory: memory.kv_cache_tokens)


def _cached_tokens(
    model: LlmProfile,
    left_bytes: float,
    context: int,
    sequence_bytes: float,
    kv_precision: Precision | None,
    tensor_parallel: int,
    block: int,
) -> int:
    token_bytes = kv_bytes_per_token(model, kv_precision, tensor_parallel)
    whole_blocks = -(-context // block) * block * token_bytes
    if token_bytes and abs(sequence_bytes - whole_blocks) < 1.0:  # all layers cache alike: exact, as vLLM counts
        return int(left_bytes // (block * token_bytes)) * block
    if not sequence_bytes:
        return model.max_context_tokens if left_bytes > 0 else 0
    return int(left_bytes / sequence_bytes * context)


def activation_bytes(
    model: LlmProfile, max_num_seqs: int, max_num_batched_tokens: int, tensor_parallel: int = 1
) -> float:
    """Peak of live tensors in a step with `max_num_batched_tokens` tokens, or in sampling for `max_num_seqs`.

    A layer holds the residual stream, its normed copy, and its widest part: the projections of attention, the gated
    width of the feed-forward part, or the copies of tokens that go to their experts.
    """
    widest = max(_widest_layer(g.attention, g.feed_forward, model.hidden, tensor_parallel) for g in model.groups)
    forward = max_num_batched_tokens * _HALF * (2 * model.hidden + widest)
    sampled = min(max_num_seqs, max_num_batched_tokens)
    sampling = max_num_batched_tokens * _HALF * model.hidden + sampled * model.vocabulary * SAMPLER_BYTES
    return FRAGMENTATION * max(forward, sampling)


def runtime_bytes(model: LlmProfile, hardware: Hardware, tensor_parallel: int = 1) -> float:
    """What a server takes besides weights, activations and cache: libraries, CUDA graphs, buffers between devices."""
    if hardware.kind == "cpu":
        return CPU_RUNTIME_BYTES
    graphs = GRAPH_BYTES + GRAPH_LAYER_BYTES * model.layers
    return RUNTIME_BYTES + graphs + (COLLECTIVE_BYTES if tensor_parallel > 1 else 0.0)


def budget_bytes(hardware: Hardware, memory_utilization: float, reserved_bytes: float | None = None) -> float:
    """What the server may use of one device: its share of the whole, and never what the CUDA context or a system needs.

    A Jetson shares its memory with the system, and with the server's own processes.
    """
    visible = visible_memory_bytes(hardware)
    if hardware.kind == "jetson":
        beside = CUDA_CONTEXT_BYTES + HOST_BYTES
        return max(0.0, min(memory_utilization * visible, usable_memory_bytes(hardware, reserved_bytes) - beside))
    if hardware.kind == "cpu":
        return memory_utilization * visible
    return min(memory_utilization * visible, visible - CUDA_CONTEXT_BYTES)


def visible_memory_bytes(hardware: Hardware) -> float:
    """The memory that the driver shows."""
    is_hbm = hardware.kind == "gpu" and (hardware.details.memory_type or "").startswith("HBM")
    return hardware.memory_bytes * (HBM_VISIBLE if is_hbm else 1.0)


def _attention_bytes(shape: AttentionShape, hidden: int, stored: float, wide: float, tensor_parallel: int) -> float:
    divided = float(shape.parameters - shape.replicated_parameters)
    copied = 0.0
    if shape.kind is AttentionKind.GROUPED and shape.kv_heads < tensor_parallel:
        one_head = hidden * (shape.head_dim + shape.value_head_dim)
        divided -= shape.kv_heads * one_head
        copied = one_head
    if shape.kind is AttentionKind.LATENT:
        return stored * (divided / tensor_parallel + shape.replicated_parameters)
    return stored * (divided / tensor_parallel + copied) + wide * shape.replicated_parameters


def _feed_forward_bytes(
    shape: FeedForwardShape, hidden: int, storage: Storage, wide: float, tensor_parallel: int
) -> float:
    def bytes_of(part: LayerPart, parameters: float) -> float:
        return parameters * (wide if part in storage.unquantized else storage.weight_bytes)

    if not shape.experts:
        matrices = shape.matrices * hidden * shape.intermediate
        rest = shape.parameters - matrices
        return bytes_of(LayerPart.DENSE, matrices / tensor_parallel) + wide * rest
    experts = shape.experts * shape.expert_parameters
    shared = shape.matrices * hidden * shape.shared_intermediate
    rest = shape.parameters - experts - shared
    divided = bytes_of(LayerPart.EXPERTS, experts) + bytes_of(LayerPart.SHARED_EXPERTS, shared)
    return divided / tensor_parallel + wide * rest


def _wide_bytes(precision: Precision) -> float:
    return precision.weight_bytes if precision in (Precision.FP32, Precision.TF32) else _HALF


def _widest_layer(attention: AttentionShape, feed: FeedForwardShape, hidden: int, tensor_parallel: int) -> float:
    """Elements for one token of the widest part of a layer on one device."""
    heads = attention.query_heads / tensor_parallel
    kv_heads = max(1.0, attention.kv_heads / tensor_parallel)
    mixer = heads * (attention.head_dim + attention.value_head_dim) + kv_heads * (
        attention.head_dim + attention.value_head_dim
    )
    gated = feed.matrices if feed.matrices > 2 else 2
    if not feed.experts:
        return max(mixer, gated * feed.intermediate / tensor_parallel)
    width = feed.intermediate / tensor_parallel
    routed = feed.experts_per_token * (max((gated - 1) * width, hidden) + width)
    return max(mixer, routed, gated * feed.shared_intermediate / tensor_parallel)
