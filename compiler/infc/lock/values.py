"""The lock as values: one entry for each spec and target, with everything that decided it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

from infc.ir.accuracy import Verdict
from infc.ir.candidate import Candidate, ContinuousBatching, DynamicBatching, ServerName, Speculation
from infc.ir.engine_kind import EngineKind
from infc.ir.interval import Basis
from infc.ir.precision import Precision

Cell: TypeAlias = str | float | int | bool | tuple[int, ...] | None
"""A value that a diff shows: old -> new."""

LockedKind: TypeAlias = EngineKind | Literal["checkpoint"]
"""What a server loads: an engine of some kind, or the checkpoint of a language model."""

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class InputDigests:
    """What decided an entry, each input by itself, so that a diff can say which one changed.

    Digests are `sha256:<hex>`. `dataset`, `calibration` and `trace` are None where the spec names no such file.
    `build_settings` is of the parts of the spec that engines depend on (axes, quantisation), which `spec` holds too.
    Of a language model `model` is its config, `tokenizer` its tokeniser and chat template, `weights` its weight files;
    those two are None for other models and for those that the server itself fetches from a hub, whose repository and
    revision are part of `spec`. `price` and `toolchain` are readable text. `profiles` are names of stored measurements
    on this device, `catalogue` is the digest of the other devices that were considered: a change of these two makes an
    entry outdated (another plan may be better now), not stale (the plan is no longer what the inputs say).
    """

    spec: str
    build_settings: str
    model: str
    dataset: str | None
    calibration: str | None
    trace: str | None
    hardware: str
    price: str | None
    toolchain: str
    profiles: tuple[str, ...]
    catalogue: str
    tokenizer: str | None = None
    weights: str | None = None

    def changed(self, current: "InputDigests") -> tuple[str, ...]:
        """Names of the inputs that differ and make an entry stale."""
        names = [field.name for field in fields(self) if field.name not in ADVISORY_INPUTS]
        return tuple(name for name in names if getattr(self, name) != getattr(current, name))

    def outdated(self, current: "InputDigests") -> tuple[str, ...]:
        """Names of the inputs that differ and make an entry outdated."""
        return tuple(name for name in ADVISORY_INPUTS if getattr(self, name) != getattr(current, name))


ADVISORY_INPUTS = ("profiles", "catalogue")


@dataclass(frozen=True, kw_only=True)
class LockedChoice:
    """The decision. Fields of batching are None where they do not apply to the server.

    Of a language model, `model` is the repository or the folder that was chosen, as the spec names it, `revision` the
    commit, branch or tag of a repository, `model_name` its name among several. `max_model_len` 0 is the model's own
    context. `dla_core` is the deep learning accelerator of a Jetson module that the engine is built for.
    """

    server: ServerName
    hardware: str
    power_mode: str | None
    precision: Precision
    tensor_parallel: int
    instances_per_gpu: int
    max_batch_size: int | None
    max_queue_delay_us: int | None
    preferred_batch_sizes: tuple[int, ...]
    prefetch: bool | None
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    replicas: int
    pipeline_parallel: int = 1
    max_model_len: int | None = None
    kv_precision: Precision | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_memory_bytes: int | None = None
    prefix_caching: bool | None = None
    chunked_prefill: bool | None = None
    long_prefill_tokens: int | None = None
    speculation: Speculation | None = None
    model: str | None = None
    revision: str | None = None
    model_name: str | None = None
    dla_core: int | None = None

    def candidate(self) -> Candidate:
        """The choice as the planner's value."""
        batching: DynamicBatching | ContinuousBatching
        if self.max_num_seqs is not None and self.max_num_batched_tokens is not None:
            batching = ContinuousBatching(
                max_num_seqs=self.max_num_seqs,
                max_num_batched_tokens=self.max_num_batched_tokens,
                has_prefix_caching=self.prefix_caching is not False,
                has_chunked_prefill=self.chunked_prefill is not False,
                long_prefill_tokens=self.long_prefill_tokens or 0,
                kv_precision=self.kv_precision,
                max_model_len=self.max_model_len or 0,
                gpu_memory_utilization=self.gpu_memory_utilization,
                kv_cache_memory_bytes=self.kv_cache_memory_bytes,
                speculation=self.speculation,
            )
        else:
            batching = DynamicBatching(
                max_batch_size=self.max_batch_size or 1,
                max_queue_delay_s=(self.max_queue_delay_us or 0) / 1e6,
                preferred_batch_sizes=self.preferred_batch_sizes,
                has_prefetch=self.prefetch is not False,
            )
        return Candidate(
            hardware_id=self.hardware,
            server=self.server,
            precision=self.precision,
            batching=batching,
            instances_per_gpu=self.instances_per_gpu,
            tensor_parallel=self.tensor_parallel,
            replicas=self.replicas,
            power_mode=self.power_mode,
            pipeline_parallel=self.pipeline_parallel,
            model=self.model_name,
            dla_core=self.dla_core,
        )


@dataclass(frozen=True, kw_only=True)
class LockedPrediction:
    """What the plan predicted at the peak, in the units of the file.

    `latency_ms` (end to end), `ttft_ms` and `tpot_ms` map "mean", "p50"... to values; the latter two, the rate of
    tokens, the size of one replica's KV cache and the price of a million generated tokens are a language model's.
    """

    latency_ms: Mapping[str, float]
    utilization: float
    throughput_rps: float
    memory_gib: float
    power_w: float | None
    usd_per_hour: float | None
    usd_per_month: float | None
    usd_per_million_requests: float | None
    basis: Basis
    ttft_ms: Mapping[str, float] = field(default_factory=dict)
    tpot_ms: Mapping[str, float] = field(default_factory=dict)
    output_tokens_per_s: float | None = None
    kv_cache_tokens: int | None = None
    usd_per_million_tokens: float | None = None


@dataclass(frozen=True, kw_only=True)
class LockedAccuracy:
    """The accuracy evidence that the entry rests on; `drop` is relative to the unquantised reference.

    `raised` maps operators that keep a higher precision than the choice says to the share of the output error that
    quantising each would cause. `worst_slice` is the part of the data that lost most, None where none was judged.
    """

    metric: str
    value: float
    drop: float
    samples: int
    confidence: float
    subject: str
    verdict: Verdict
    worst_slice: str | None = None
    worst_slice_drop: float | None = None
    raised: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LockedEngine:
    """The engine by its key, the hash of its build inputs (engine bytes do not repeat), and its place in the bundle.

    `inputs` is the digest of what an engine is made from, known before it is built; `key` is None until then.
    `toolchain` maps the tools that built it to versions; empty while `is_pending` and where devices build it. `file` is
    its place in the bundle: the folder of a checkpoint, None where the server fetches it or the device builds it.
    """

    kind: LockedKind
    inputs: str
    key: str | None
    file: str | None
    is_pending: bool
    toolchain: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class LockedRelease:
    """The release for edge devices that a deployment goes out with; those of one bundle have the same.

    `content` is the content digest of the archive as it was compiled, which devices go by. `repeats` is the digest of
    what of the release is the same wherever it is compiled (all but the last bits of reference outputs): when it
    changes, the next release has another number.
    """

    version: str
    content: str
    repeats: str


@dataclass(frozen=True, kw_only=True)
class LockEntry:
    """One deployment of one spec. `spec` and `profile` are relative to the lock; `files` maps emitted files to digests.

    Files whose bytes do not repeat (TensorRT engines) are not in `files`; those of an archive for edge devices are
    listed as they are inside, but for the samples. `release` is set for deployments on edge devices that were compiled.
    """

    name: str
    target: str
    spec: str
    profile: str | None
    inputs: InputDigests
    choice: LockedChoice
    predicted: LockedPrediction
    accuracy: LockedAccuracy | None
    engine: LockedEngine
    files: Mapping[str, str]
    release: LockedRelease | None = None

    @property
    def address(self) -> tuple[str, str]:
        """What an entry is found and sorted by."""
        return (self.name, self.target)

    @property
    def label(self) -> str:
        """`name @ target`."""
        return f"{self.name} @ {self.target}"

    @property
    def model_digest(self) -> str:
        """The model's digest as the profile store knows it: hexadecimal, without a prefix."""
        return self.inputs.model.removeprefix("sha256:")


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Every entry, sorted by name and target."""

    entries: tuple[LockEntry, ...] = ()

    def find(self, name: str, target: str) -> LockEntry | None:
        """The entry of one spec and target."""
        return next((entry for entry in self.entries if entry.address == (name, target)), None)

    def of_spec(self, spec: str) -> tuple[LockEntry, ...]:
        """The entries of the spec at this path (relative to the lock)."""
        return tuple(entry for entry in self.entries if entry.spec == spec)


ChangeKind: TypeAlias = Literal["added", "changed", "rebuilt", "removed", "unchanged"]
