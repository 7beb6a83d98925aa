"""The spec with every default resolved, in base units, joined with model, hardware and prices: the planner's input."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from infc.diag import Span
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.arrival import Arrival
from infc.ir.build_options import DEFAULT_BUILD_OPTIONS, BuildOptions
from infc.ir.candidate import SpeculationMethod
from infc.ir.engine_evidence import EngineEvidence
from infc.ir.engine_kind import EngineChoice
from infc.ir.hardware import Hardware
from infc.ir.jetson import JetsonSetup
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.ir.price import Price
from infc.ir.service_time import NeighbourMeasurement, ServiceTimeProfile

if TYPE_CHECKING:  # a plan of an ONNX model starts without them
    from infc.ir.llm_profile import LlmProfile
    from infc.ir.step_time import StepTimeProfile

Objective: TypeAlias = Literal["cost", "latency", "energy"]


class Origin(StrEnum):
    """Who set a value."""

    USER = "user"
    DEFAULT = "default"
    CATALOGUE = "catalogue"


LlmRuntime: TypeAlias = Literal["vllm", "edge-llm"]
"""What serves a language model on a Jetson module."""


@dataclass(frozen=True, kw_only=True)
class LatencyTarget:
    """`percentile` (0-100, exclusive) of end-to-end latency must stay at or under `limit_s`.

    `span` is where the spec says so.
    """

    percentile: float
    limit_s: float
    span: Span | None = None

    @property
    def label(self) -> str:
        """`p99`, `p99.9`."""
        return f"p{self.percentile:g}"


@dataclass(frozen=True, kw_only=True)
class AccuracyGoal:
    """The accuracy that a lowered model must keep.

    At least one of `floor`, `max_drop` and `max_slice_drop` is set (max_drop 0.01 is 1%). `max_slice_drop` holds for
    every part of the data on its own.
    """

    dataset: str
    metric: str
    floor: float | None
    max_drop: float | None
    confidence: float
    max_slice_drop: float | None = None


@dataclass(frozen=True, kw_only=True)
class ShadowGoal:
    """A quality shadow: one request in every `one_in` is compared, and at least `min_agreement` of them should agree.

    `tolerance` is how far an output may lie from the reference's, as a share of its norm (None: by the evidence).
    `capture_s` is what capturing costs a request that is compared, at most.
    """

    one_in: int
    min_agreement: float
    tolerance: float | None
    capture_s: float


@dataclass(frozen=True, kw_only=True)
class AxisDistribution:
    """Sizes of a dynamic axis over requests, as percentile -> size; `maximum` is never exceeded."""

    percentiles: Mapping[float, int]
    maximum: int


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Offered load. Rates are requests per second over the whole deployment; the SLO is judged at `peak_rps`.

    `arrival` is how requests come while the rate is at its peak; `hourly` is the course of the rate over a day.
    """

    arrival: Arrival
    rate_rps: float
    peak_rps: float
    hourly: tuple[float, ...] | None
    axes: Mapping[str, AxisDistribution]

    @property
    def mean_rps(self) -> float:
        """Mean rate over the day: the rate times the mean of the day's shape."""
        return self.rate_rps * (sum(self.hourly) / len(self.hourly) if self.hourly else 1.0)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hard constraints; None means no limit. `redundancy` replicas may be lost with the SLO still met.

    `surge` more replicas run while an update rolls out: devices for them are kept where devices are counted or owned.
    `unavailable` may be missing meanwhile, None where the spec does not say how updates go.
    `max_power_w` is of all devices at full draw, `max_memory_bytes` of one device. `reserved_bytes` of a Jetson's
    memory is left to others (None: the model's own assumption), `power_mode` names the one to run in (None: any under
    `max_power_w`).
    """

    precisions: tuple[Precision, ...]
    max_accelerators: int | None
    max_usd_per_hour: float | None
    max_power_w: float | None
    redundancy: int
    surge: int = 0
    unavailable: int | None = None
    max_memory_bytes: float | None = None
    reserved_bytes: float | None = None
    power_mode: str | None = None


@dataclass(frozen=True, kw_only=True)
class HardwareOption:
    """A device that the spec allows, with the price that applies to it (None: no price in the chosen books).

    `reserved` is the price of the baseline where `pricing.commitment` is mixed; `price` then is the on-demand one, and
    `burst` the spot price where that is what is rented above the baseline. `is_named_target`: the spec names it in
    `deploy.targets`, so it may go without a price; `max_cost` is then not judged, and the plan says so. `jetson` is set
    for Jetson modules.
    """

    hardware: Hardware
    price: Price | None
    reserved: Price | None = None
    burst: Price | None = None
    is_named_target: bool = False
    jetson: JetsonSetup | None = None


@dataclass(frozen=True, kw_only=True)
class BaseProblem:
    """What every problem has: traffic, limits, devices with prices, the objective.

    `has_calibration_data` says whether quantised precisions can be made at all. `evidence` is stored of this model.
    `origins` maps a spec path (`constraints.precision`) to who set it; `spans` maps a spec path to where it stands, for
    diagnostics about a choice.
    """

    name: str
    spec_path: str
    availability: float | None
    accuracy: AccuracyGoal | None
    traffic: Traffic
    limits: Limits
    objective: Objective
    options: tuple[HardwareOption, ...]
    server: Literal["auto", "triton", "vllm", "jetson"]
    evidence: tuple[AccuracyEvidence, ...]
    origins: Mapping[str, Origin]
    spans: Mapping[str, Span]
    has_calibration_data: bool = True
    is_provider_named: bool = False

    def jetson_of(self, hardware_id: str) -> JetsonSetup | None:
        """What the spec says of a Jetson module; None for other devices."""
        return next((option.jetson for option in self.options if option.hardware.id == hardware_id), None)

    def reserved_bytes(self, hardware_id: str) -> float | None:
        """Memory of a Jetson module that is left to the system and others; None where the spec does not say."""
        setup = self.jetson_of(hardware_id)
        return self.limits.reserved_bytes if setup is None else setup.reserved_bytes


@dataclass(frozen=True, kw_only=True)
class Problem(BaseProblem):
    """A problem about an ONNX model. Same problem, same plan, byte for byte.

    `measurements` are stored profiles of this model, `neighbours` those of other models on devices where this one was
    not measured. `engines` are what builders reported of engines of this model. `shadow` is None without a quality
    shadow.
    """

    model: ModelProfile
    latency: tuple[LatencyTarget, ...]
    measurements: tuple[ServiceTimeProfile, ...]
    neighbours: tuple[NeighbourMeasurement, ...] = ()
    build_options: BuildOptions = DEFAULT_BUILD_OPTIONS
    engine: EngineChoice = "auto"
    engines: tuple[EngineEvidence, ...] = ()
    shadow: ShadowGoal | None = None


@dataclass(frozen=True, kw_only=True)
class TokenTraffic:
    """Lengths of prompts and outputs over requests, in tokens.

    `shared_prefix` is the share of the prompt tokens that requests have in common.
    """

    prompt: AxisDistribution
    output: AxisDistribution
    shared_prefix: float

    @property
    def longest(self) -> int:
        """Tokens of the longest request, prompt and output: the server's max_model_len."""
        return self.prompt.maximum + self.output.maximum


@dataclass(frozen=True, kw_only=True)
class LlmSource:
    """Where the model of a problem comes from: a repository of the hub, or a folder as the spec writes it.

    Exactly one of `repo` and `checkpoint` is set. `served_name` is what clients ask for. `accuracy` is the figure that
    the spec states of this model, None where it states none. `name` is that of a candidate among several models, None
    where the spec names one model.
    """

    served_name: str
    repo: str | None = None
    revision: str | None = None
    checkpoint: str | None = None
    accuracy: float | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Drafter:
    """What may draft tokens: a drafted one is accepted with chance `acceptance` if those before it were.

    `model` is a folder or a repository, None where the method needs none. At most `most_tokens` are drafted a step.
    """

    method: SpeculationMethod
    acceptance: float
    most_tokens: int
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class LlmProblem(BaseProblem):
    """A problem about a language model, to be served by continuous batching. Same problem, same plan, byte for byte.

    At least one of `ttft`, `tpot` and `e2e` is not empty. `step_times` are stored profiles of this model.
    `has_prefix_caching` is what the spec settles, None where it leaves it open; `drafter` what it offers for
    speculative decoding. Where the spec names several models, `alternatives` are the problems of the others, equal in
    all but the model, and `min_accuracy` is the least stated accuracy that will do (None: any). `jetson_runtime` is
    what serves it on a Jetson module.
    """

    model: "LlmProfile"
    source: LlmSource
    ttft: tuple[LatencyTarget, ...]
    tpot: tuple[LatencyTarget, ...]
    e2e: tuple[LatencyTarget, ...]
    tokens: TokenTraffic
    step_times: "tuple[StepTimeProfile, ...]"
    has_prefix_caching: bool | None = None
    drafter: Drafter | None = None
    alternatives: "tuple[LlmProblem, ...]" = ()
    min_accuracy: float | None = None
    jetson_runtime: LlmRuntime = "vllm"


AnyProblem: TypeAlias = Problem | LlmProblem
