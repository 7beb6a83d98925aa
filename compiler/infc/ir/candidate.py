"""One way to deploy: what the planner enumerates, predicts and chooses from."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.ir.precision import Precision

ServerName: TypeAlias = Literal["triton", "vllm", "jetson"]


@dataclass(frozen=True, kw_only=True)
class DynamicBatching:
    """Settings of Triton's dynamic batcher.

    `preferred_batch_sizes` empty means Triton's default, `[max_batch_size]`. `has_prefetch` is Triton's default
    behaviour of forming batches ahead of a free instance; False emits a queue policy that never fires, which turns it
    off. `max_batch_size` 1 means no dynamic batching block at all.
    """

    max_batch_size: int
    max_queue_delay_s: float = 0.0
    preferred_batch_sizes: tuple[int, ...] = ()
    has_prefetch: bool = True


SpeculationMethod: TypeAlias = Literal["ngram", "mtp", "eagle3", "draft_model"]


@dataclass(frozen=True, kw_only=True)
class Speculation:
    """Speculative decoding: `tokens` drafted a step, each accepted with chance `acceptance` if those before it were.

    `model` is the drafter (a folder or a repository), None where the method needs none.
    """

    method: SpeculationMethod
    tokens: int
    acceptance: float
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class ContinuousBatching:
    """Settings of vLLM's scheduler.

    `long_prefill_tokens` caps one prompt's share of a step (0: no cap). `kv_precision` None keeps the model's.
    `max_model_len` is the longest request, prompt and output (0: the model's own context). `gpu_memory_utilization` is
    the share of a device's memory that the server takes, None for its default. `kv_cache_memory_bytes` is the size of
    the KV cache where the server is told it outright: on a CPU, whose memory others use too.
    """

    max_num_seqs: int
    max_num_batched_tokens: int
    has_prefix_caching: bool = True
    has_chunked_prefill: bool = True
    long_prefill_tokens: int = 0
    kv_precision: Precision | None = None
    max_model_len: int = 0
    gpu_memory_utilization: float | None = None
    kv_cache_memory_bytes: int | None = None
    speculation: Speculation | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A point of the search space. `instances_per_gpu` is Triton's `count`; a replica is a whole server.

    A replica of a language model takes `tensor_parallel * pipeline_parallel` devices. `model` is the name of the model
    where the spec names several, else None. `dla_core` is the deep learning accelerator of a Jetson module that the
    engine is built for, with the GPU for what it cannot run (None: the GPU alone).
    """

    hardware_id: str
    server: ServerName
    precision: Precision
    batching: DynamicBatching | ContinuousBatching
    instances_per_gpu: int = 1
    tensor_parallel: int = 1
    replicas: int = 1
    power_mode: str | None = None
    pipeline_parallel: int = 1
    model: str | None = None
    dla_core: int | None = None

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def target(self) -> str:
        """What a bundle and a lock entry call the device: its id, with the power mode where it has one."""
        return self.hardware_id + (f"@{self.power_mode}" if self.power_mode else "")

    @property
    def label(self) -> str:
        """The short name that `infc plan --why` takes, replicas left out: `int8/l4/b8/i2/d500us`.

        The power mode follows the hardware (`jetson-orin-nx-16gb@25W`), then the accelerator (`dla0`); `d` is left out
        at zero delay, `np` marks prefetch off. A language model's has its parallelism and vLLM's limits:
        `fp8/h100-sxm/tp2/s128/t8192`, with `pp2` where stages follow each other, `kv-fp8` where the cache is not in the
        model's own precision, and `mtp-2` where so many tokens are drafted a step. One of several models goes before
        it, with a colon.
        """
        parts = [self.precision.value, self.target]
        if self.dla_core is not None:
            parts.append(f"dla{self.dla_core}")
        match self.batching:
            case DynamicBatching() as b:
                parts += [f"b{b.max_batch_size}", f"i{self.instances_per_gpu}"]
                if b.max_queue_delay_s:
                    parts.append(f"d{round(b.max_queue_delay_s * 1e6)}us")
                if not b.has_prefetch:
                    parts.append("np")
            case ContinuousBatching() as c:
                parts.append(f"tp{self.tensor_parallel}")
                if self.pipeline_parallel > 1:
                    parts.append(f"pp{self.pipeline_parallel}")
                if c.kv_precision is not None:
                    parts.append(f"kv-{c.kv_precision.value}")
                parts += [f"s{c.max_num_seqs}", f"t{c.max_num_batched_tokens}"]
                if c.speculation is not None:
                    parts.append(f"{c.speculation.method}-{c.speculation.tokens}")
        return (f"{self.model}:" if self.model else "") + "/".join(parts)
