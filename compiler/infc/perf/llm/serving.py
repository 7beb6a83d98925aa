"""How a server is set up when nobody says otherwise: vLLM's own defaults by device."""

from infc.ir.candidate import ContinuousBatching
from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.perf.llm.cache import cache_precision
from infc.perf.llm.coefficients import Engine
from infc.perf.llm.memory import visible_memory_bytes
from infc.perf.memory import GIB

_LARGE_BYTES = 70 * GIB
_LARGEST_BYTES = 160 * GIB


def default_batching(hardware: Hardware) -> ContinuousBatching:
    """The scheduler settings that vLLM 0.32 resolves for an OpenAI server on this device.

    Source: resolved by vLLM's own `create_engine_config` for each class of device: 70 GiB and more (A100 apart) 1024
    sequences and 8192 tokens, 160 GiB and more 16384 tokens, any other GPU 256 and 2048, a CPU 128 and 2048.
    """
    memory = visible_memory_bytes(hardware)
    if hardware.kind == "cpu":
        return ContinuousBatching(max_num_seqs=128, max_num_batched_tokens=2048)
    if hardware.kind != "gpu" or memory < _LARGE_BYTES or hardware.name.startswith("A100"):
        return ContinuousBatching(max_num_seqs=256, max_num_batched_tokens=2048)
    tokens = 16384 if memory >= _LARGEST_BYTES else 8192
    return ContinuousBatching(max_num_seqs=1024, max_num_batched_tokens=tokens)


def served_cache_precision(model: LlmProfile, hardware: Hardware, precision: Precision, engine: Engine) -> Precision:
    """What published servers keep the cache in where nobody says it.

    FP8 under FP8 and FP4 weights with TensorRT-LLM (NVIDIA's quantised checkpoints fix it) and on Blackwell; else what
    the checkpoint says, else its dtype.
    """
    is_low = precision in (Precision.FP8, Precision.FP4)
    if is_low and (engine == "trtllm" or hardware.architecture == "Blackwell"):
        return Precision.FP8
    return cache_precision(model, None)
