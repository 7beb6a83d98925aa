"""A release for edge devices as its manifest says: what is sent, to which modules, and what it must do there.

`docs/edge-format.md` is the contract between what is compiled and what runs on the device; these are its values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from infc.ir.arrival import BurstyArrival, ConstantArrival, PoissonArrival
from infc.ir.build_options import BuildOptions
from infc.ir.engine import ShapeRange
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget

EdgeKind: TypeAlias = Literal["onnx", "llm"]
ServiceKind: TypeAlias = Literal["triton", "vllm", "edge-llm", "none"]
"""How an engine is served; `none`: another program loads it, and the release is judged by the engine alone."""
EdgeArrival: TypeAlias = ConstantArrival | PoissonArrival | BurstyArrival
"""How requests are offered on a device: at the peak, at a rate that does not change."""


@dataclass(frozen=True, kw_only=True)
class VersionRange:
    """Versions from `at_least` on and before `below`, numbers with dots, compared number by number."""

    at_least: str
    below: str


@dataclass(frozen=True, kw_only=True)
class EdgePrediction:
    """What the plan predicts on a module: seconds by percentile (`p50`), and watts of the module (None: not said)."""

    latency_s: Mapping[str, Interval]
    power_w: Interval | None


@dataclass(frozen=True, kw_only=True)
class EdgeTarget:
    """A kind of module that a release is for, and what it must have.

    `modules` are the ids of its boards (`p3767-0000`), `soc` its chip. `l4t` and `tensorrt` are what the release was
    made for. `power_mode` is set by its name; `power_cap_w` is the draw that the mode allows (None: not capped).
    `engine` names the one to build (None where the server loads the model itself). `min_memory_bytes` must be free of
    the shared memory, `min_free_bytes` of the disk. `environment` is what the service is started with on such a module:
    the device writes it beside the release as `target.env`.
    """

    hardware_id: str
    title: str
    modules: tuple[str, ...]
    soc: str
    compute_capability: str
    l4t: VersionRange
    tensorrt: VersionRange
    power_mode: str | None
    power_cap_w: float | None
    engine: str | None
    min_memory_bytes: int
    min_free_bytes: int
    predicted: EdgePrediction
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EdgeEngine:
    """An engine that each device builds: the lowered model in the bundle, the shapes it must accept, and how to build.

    The precision is in the network (strongly typed). `most_gpu_fallback` is the largest share of the layers that may
    run on the GPU where a deep learning accelerator was asked for. `source_digest` and `recipe_digest` say what the
    model was lowered from and how.
    """

    name: str
    model: str
    model_digest: str
    precision: Precision
    shapes: tuple[ShapeRange, ...]
    options: BuildOptions
    most_gpu_fallback: float
    source_digest: str
    recipe_digest: str
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class EdgeService:
    """How the release is served: the systemd unit, where it answers, the model's name there."""

    kind: ServiceKind
    unit: str
    url: str
    model: str
    ready_timeout_s: float


@dataclass(frozen=True, kw_only=True)
class EdgeSlo:
    """What must hold on the device, judged at `confidence`. `ttft` and `tpot` are a language model's.

    `max_power_w` and `max_temperature_c` are hard limits of the module; None: no limit.
    """

    latency: tuple[LatencyTarget, ...]
    confidence: float
    max_power_w: float | None
    max_temperature_c: float | None
    ttft: tuple[LatencyTarget, ...] = ()
    tpot: tuple[LatencyTarget, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EdgeTokens:
    """Lengths of the requests that a language model is judged with, in the mean.

    `prompt_lengths` and `output_lengths` are those that requests take in turn, as many of one as of the other; empty:
    every request has the mean.
    """

    prompt_tokens: int
    output_tokens: int
    prompt_lengths: tuple[int, ...] = ()
    output_lengths: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EdgeLoad:
    """The load that a release is judged under: the spec's peak on one device.

    `seconds_at_most` bounds the measurement; what is not settled by then is inconclusive. `tokens` is set for language
    models only.
    """

    arrival: EdgeArrival
    rate_rps: float
    batch_size: int
    warm_up_s: float
    seconds_at_most: float
    tokens: EdgeTokens | None = None


@dataclass(frozen=True, kw_only=True)
class AbsentFile:
    """A file of a release that a delta leaves out, because the release before holds it."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class EdgeDelta:
    """What a delta lacks, and the release that it is taken from."""

    base_version: str
    absent: tuple[AbsentFile, ...]


@dataclass(frozen=True, kw_only=True)
class EdgeRelease:
    """`manifest.json`: one release, for one or several kinds of modules. Digests are `sha256:<hex>`.

    `content_digest` is of every file but this one, the SBOM, the provenance, the list of digests and its signature.
    `verify` is where the samples are (None: there are none). `is_rolled_back`: a release that misses its objective
    makes way for the one before.
    """

    name: str
    version: str
    kind: EdgeKind
    content_digest: str
    infc_version: str
    targets: tuple[EdgeTarget, ...]
    engines: tuple[EdgeEngine, ...]
    service: EdgeService
    verify: str | None
    slo: EdgeSlo
    load: EdgeLoad
    is_rolled_back: bool
    releases_kept: int
    delta: EdgeDelta | None = None


@dataclass(frozen=True, kw_only=True)
class SampleTensor:
    """One tensor of a sample: raw bytes of `file` in the bundle, little-endian, C order."""

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class EdgeSample:
    """Inputs, and the outputs that the unquantised model gives for them."""

    inputs: tuple[SampleTensor, ...]
    outputs: tuple[SampleTensor, ...]


@dataclass(frozen=True, kw_only=True)
class OutputTolerance:
    """How far one output may be from the reference, over all samples.

    `min_argmax_agreement` is the least share of samples whose largest element is the same; None: not looked at.
    """

    max_absolute: float
    mean_absolute: float
    min_argmax_agreement: float | None


@dataclass(frozen=True, kw_only=True)
class EdgeSamples:
    """`verify/samples.json`: reference outputs with a tolerance for each output by name."""

    samples: tuple[EdgeSample, ...]
    tolerances: Mapping[str, OutputTolerance] = field(default_factory=dict)
