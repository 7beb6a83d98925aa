"""Memory of a language-model server, against what vLLM logs and what its allocator does."""

from dataclasses import replace
from itertools import pairwise

import pytest

from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.perf.llm.cache import BLOCK_TOKENS, kv_bytes_per_token, sequence_cache_bytes
from infc.perf.llm.memory import activation_bytes, llm_memory, runtime_bytes, visible_memory_bytes, weight_bytes
from infc.perf.llm.serving import default_batching
from infc.resolve.targets import load_catalogue
from tests.resolve.hf_config.models import model

GIB = 2.0**30
CATALOGUE = load_catalogue(None)


def device(id: str) -> Hardware:
    """A device of the catalogue."""
    found = CATALOGUE.find(id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "precision", "devices", "gib"),
    [
        ("llama-3.1-8b", Precision.BF16, 1, 14.96),  # vLLM pull request 10511: "model weights take 14.96GiB"
        ("llama-3.1-8b", Precision.BF16, 2, 7.48),  # same log with -tp 2
        ("qwen3-235b-a22b", Precision.FP8, 4, 55.0),  # 4 H100 leave 8.11 GiB for the cache (vLLM issue 21348)
        ("gpt-oss-120b", Precision.FP4, 1, 60.8),  # size of the checkpoint in its model card
        ("gpt-oss-20b", Precision.FP4, 1, 12.8),  # size of the checkpoint in its model card
        ("deepseek-v3", Precision.FP8, 8, 79.3),  # 671 GB, what is not divided counted on each of 8 devices
    ],
)
def test_weights_take_what_servers_log(name: str, precision: Precision, devices: int, gib: float) -> None:
    """Embeddings, head, norms and what a checkpoint leaves unquantised stay in 16 bits."""
    assert weight_bytes(model(name), precision, devices) / GIB == pytest.approx(gib, rel=0.01)


@pytest.mark.parametrize(
    ("name", "precision", "devices", "expected"),
    [
        ("llama-3.1-8b", None, 1, 32 * 8 * 2 * 128 * 2),
        ("llama-3.1-8b", Precision.FP8, 1, 32 * 8 * 2 * 128),
        ("llama-3.1-8b", None, 4, 32 * 2 * 2 * 128 * 2),
        ("qwen2.5-0.5b", None, 2, 24 * 1 * 2 * 64 * 2),
        ("qwen3-235b-a22b", None, 8, 94 * 1 * 2 * 128 * 2),  # four key-value heads on eight devices: a copy on each
        ("falcon-7b", None, 1, 32 * 1 * 2 * 64 * 2),
        ("deepseek-v3", None, 1, 61 * 576 * 2),
        ("deepseek-v3", None, 8, 61 * 576 * 2),  # the latent cache is whole on every device
        ("deepseek-v3", Precision.FP8, 8, 61 * 576),
        ("glm-5", Precision.FP8, 8, 78 * (656 + 132)),  # 512 in FP8, 4 scales, 64 rotary in 16 bits, and the index
        ("gpt-oss-120b", None, 1, 36 * 8 * 2 * 64 * 2),
        ("qwen3.5-397b-a17b", None, 1, 15 * 2 * 2 * 256 * 2),
        ("llama-3.1-8b", Precision.FP4, 1, 32 * 8 * 2 * 128 * 0.5625),
        ("llama-3.1-8b", Precision.INT8, 1, 32 * 8 * 2 * (128 + 4)),  # a scale with each head's key and value
    ],
)
def test_a_token_takes_exactly_what_the_layers_cache(
    name: str, precision: Precision | None, devices: int, expected: float
) -> None:
    """Bytes of one device."""
    assert kv_bytes_per_token(model(name), precision, devices) == expected


def test_a_sequence_takes_whole_blocks() -> None:
    """17 tokens take two blocks of 16."""
    llama = model("llama-3.1-8b")
    assert sequence_cache_bytes(llama, 17) == 2 * BLOCK_TOKENS * kv_bytes_per_token(llama)


def test_windows_bound_what_a_long_sequence_takes() -> None:
    """Half the layers of gpt-oss hold nine blocks whatever the length: eight of the window, one that it starts in."""
    oss = model("gpt-oss-120b")
    token = kv_bytes_per_token(oss)
    assert sequence_cache_bytes(oss, 64) == 64 * token
    assert sequence_cache_bytes(oss, 8192) == 8192 * token / 2 + 9 * BLOCK_TOKENS * token / 2


def test_a_kind_of_layer_that_does_not_fill_its_groups_wastes_the_rest() -> None:
    """Gemma 3 1B: 4 full and 22 sliding layers make one and six groups of four, two of 24 places empty."""
    gemma = model("gemma-3-1b")
    layer = 2 * 256 * 2
    assert sequence_cache_bytes(gemma, 256) == (1 + 6) * 4 * 256 * layer
    assert kv_bytes_per_token(gemma) == 26 * layer


def test_recurrent_layers_take_states_whatever_the_length() -> None:
    """A page holds a whole state, and a short sequence costs as many pages as it has groups of layers."""
    qwen = model("qwen3.5-397b-a17b")
    short, long = sequence_cache_bytes(qwen, 16), sequence_cache_bytes(qwen, 32768)
    state = next(g.attention.state_bytes for g in qwen.groups if g.attention.state_bytes)
    assert short >= 2 * 45 * state
    assert long - short < 32768 * kv_bytes_per_token(qwen) * 1.1


def test_the_cache_is_what_is_left_and_counts_in_blocks() -> None:
    """Weights, activations, runtime and cache fill the budget; tokens are those of whole blocks."""
    llama = model("llama-3.1-8b")
    memory = llm_memory(
        llama,
        device("h100-sxm"),
        Precision.BF16,
        tensor_parallel=1,
        kv_precision=None,
        max_num_seqs=256,
        max_num_batched_tokens=8192,
        memory_utilization=0.9,
    )
    assert memory.breakdown.total_bytes == pytest.approx(memory.budget_bytes)
    assert memory.kv_cache_tokens % BLOCK_TOKENS == 0
    # vLLM pull request 10511 logs 53.29 GiB for the cache of an older version, which counted 1.8 GiB outside PyTorch.
    assert memory.breakdown.kv_cache_bytes / GIB == pytest.approx(53.29, rel=0.03)
    assert memory.breakdown.activations_bytes / GIB == pytest.approx(1.26, rel=0.1)


def test_the_overhead_of_a_large_mixture_is_about_what_was_logged() -> None:
    """Qwen3-235B in FP8 on four H100 left 8.11 GiB for the cache, before graphs were counted (vLLM issue 21348)."""
    qwen = model("qwen3-235b-a22b")
    h100 = device("h100-sxm")
    memory = llm_memory(
        qwen,
        h100,
        Precision.FP8,
        tensor_parallel=4,
        kv_precision=None,
        max_num_seqs=1024,
        max_num_batched_tokens=8192,
        memory_utilization=0.9,
    )
    graphs = runtime_bytes(qwen, h100, 4) - runtime_bytes(replace(qwen, groups=()), h100, 4)
    assert (memory.breakdown.kv_cache_bytes + graphs) / GIB == pytest.approx(8.11, abs=1.0)


def test_what_does_not_fit_has_no_cache() -> None:
    """A 70B model in 16 bits on one H100: no token, no negative memory."""
    memory = llm_memory(
        model("llama-3.1-70b"),
        device("h100-sxm"),
        Precision.BF16,
        tensor_parallel=1,
        kv_precision=None,
        max_num_seqs=8,
        max_num_batched_tokens=2048,
    )
    assert memory.kv_cache_tokens <= 0
    assert memory.breakdown.kv_cache_bytes == 0.0


def test_lower_precision_and_more_devices_take_less() -> None:
    """Each step down, and each doubling."""
    qwen = model("qwen3-32b")
    sizes = [weight_bytes(qwen, p) for p in (Precision.FP32, Precision.BF16, Precision.FP8, Precision.FP4)]
    assert sizes == sorted(sizes, reverse=True)
    shares = [weight_bytes(qwen, Precision.BF16, devices) for devices in (1, 2, 4, 8)]
    assert all(whole / 2 <= half < whole * 0.51 for whole, half in pairwise(shares))


def test_activations_grow_with_the_token_budget_and_the_sequences() -> None:
    """The larger of a forward pass and of sampling."""
    llama = model("llama-3.1-8b")
    assert activation_bytes(llama, 8, 16384) > activation_bytes(llama, 8, 2048)
    assert activation_bytes(llama, 1024, 2048) > activation_bytes(llama, 64, 2048)


def test_a_jetson_leaves_memory_to_its_system() -> None:
    """What the user reserves is not the server's."""
    jetson, qwen = device("jetson-agx-orin-64gb"), model("qwen3-8b")

    def budget(reserved_bytes: float | None) -> float:
        return llm_memory(
            qwen,
            jetson,
            Precision.BF16,
            tensor_parallel=1,
            kv_precision=None,
            max_num_seqs=8,
            max_num_batched_tokens=2048,
            reserved_bytes=reserved_bytes,
        ).budget_bytes

    assert budget(None) < 0.76 * jetson.memory_bytes
    assert budget(20 * GIB) < budget(10 * GIB)


def test_the_driver_shows_hbm_by_the_gib() -> None:
    """81559 MiB on an H100, 143771 MiB on an H200; GDDR with error correction its nominal size."""
    assert visible_memory_bytes(device("h100-sxm")) / 2**20 == pytest.approx(81559, rel=0.005)
    assert visible_memory_bytes(device("h200-sxm")) / 2**20 == pytest.approx(143771, rel=0.005)
    assert visible_memory_bytes(device("l40s")) == device("l40s").memory_bytes


@pytest.mark.parametrize(
    ("id", "sequences", "tokens"),
    [
        ("h100-sxm", 1024, 8192),
        ("h200-sxm", 1024, 8192),
        ("b200-sxm", 1024, 16384),
        ("a100-sxm-80gb", 256, 2048),
        ("l40s", 256, 2048),
        ("cpu", 128, 2048),
        ("jetson-agx-orin-64gb", 256, 2048),
    ],
)
def test_servers_start_with_the_defaults_of_vllm(id: str, sequences: int, tokens: int) -> None:
    """As vLLM's own configuration resolves them for the device."""
    batching = default_batching(device(id))
    assert (batching.max_num_seqs, batching.max_num_batched_tokens) == (sequences, tokens)
