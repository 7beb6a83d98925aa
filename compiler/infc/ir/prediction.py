"""One model on one device: what `infc predict` answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from infc.diag import Diagnostic
from infc.ir.candidate import ContinuousBatching
from infc.ir.estimate import MemoryBreakdown
from infc.ir.interval import Basis, Interval
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision

Engine: TypeAlias = Literal["vllm", "trtllm", "sglang"]
StepTimeSource: TypeAlias = Literal["model", "aic"]


@dataclass(frozen=True, kw_only=True)
class PredictQuestion:
    """What is asked: `axes` are the sizes of the model's dynamic axes but the batch.

    `with_dla` asks for the throughput of a Jetson module whose deep learning accelerators run beside its GPU.
    """

    model: Path
    hardware: str
    precision: Precision
    batch: int
    axes: Mapping[str, int]
    power_mode: str | None
    with_dla: bool = False


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One execution at a time, back to back, as published benchmarks run: copies included, no server, no queue.

    `throughput_per_s` counts items; what the accelerators add to it is `dla_throughput_per_s`, None where they were not
    asked for. Intervals hold 90%.
    """

    question: PredictQuestion
    latency_s: Interval
    throughput_per_s: Interval
    memory: MemoryBreakdown
    power_w: Interval | None
    basis: Basis
    diagnostics: tuple[Diagnostic, ...]
    dla_throughput_per_s: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class LlmQuestion:
    """What is asked of a language model: so many requests at a time, each of so many prompt and output tokens.

    `precision` None is that of the checkpoint, `kv_precision` None what servers take (a prediction's question says
    which). The batching settings None are what the server takes by default on this device.
    """

    model: Path
    hardware: str
    precision: Precision | None
    kv_precision: Precision | None
    tensor_parallel: int
    concurrency: int
    prompt_tokens: int
    output_tokens: int
    engine: Engine
    power_mode: str | None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    step_times: StepTimeSource = "model"


@dataclass(frozen=True, kw_only=True)
class LlmPrediction:
    """A server with `concurrency` requests in its hands at any time: means over requests, intervals hold 90%.

    `memory` is of one device with the cache that these requests need, `kv_cache_tokens` what the server could cache in
    all. `throughput_per_s` counts output tokens, `power_w` is of all devices. `precision` and `batching` are what was
    assumed, `step_source` says where step times come from. Requests of one token have no `tpot_s`.
    """

    question: LlmQuestion
    profile: LlmProfile
    precision: Precision
    batching: ContinuousBatching
    memory_utilization: float
    ttft_s: Interval
    tpot_s: Interval | None
    e2e_s: Interval
    throughput_per_s: Interval
    memory: MemoryBreakdown
    kv_cache_tokens: int
    power_w: Interval | None
    basis: Basis
    step_source: str
    diagnostics: tuple[Diagnostic, ...]
