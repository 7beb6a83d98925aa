"""What a device says of a release that it judged: `acceptance.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.ir.interval import Interval

EdgeVerdictWord: TypeAlias = Literal["pass", "fail", "inconclusive"]
LoadSubject: TypeAlias = Literal["service", "engine"]
"""What was put under load: the service as its clients see it, or the engine alone."""


@dataclass(frozen=True, kw_only=True)
class EdgeDevice:
    """The device as it describes itself; None where it does not say. `module` is the id of its board."""

    machine: str
    module: str | None
    soc: str | None
    model: str | None
    l4t: str | None
    tensorrt: str | None
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class DeviceBuild:
    """The engine that the device built, or had: its key in the device's cache, its bytes, and how long it took."""

    key: str
    digest: str
    size_bytes: int
    is_reused: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class OutputError:
    """How far one output was from the reference, over all samples."""

    max_absolute: float
    mean_absolute: float
    argmax_agreement: float | None


@dataclass(frozen=True, kw_only=True)
class OutputCheck:
    """The engine's outputs beside the reference; `worst` by output."""

    samples: int
    verdict: EdgeVerdictWord
    worst: Mapping[str, OutputError]


@dataclass(frozen=True, kw_only=True)
class OfferedLoad:
    """What was offered, to what, and for how long."""

    what: LoadSubject
    rate_rps: float
    requests: int
    failed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MetricVerdict:
    """One limit (`p99`, `power`, `temperature`) with what was measured; None where nothing was."""

    metric: str
    limit: float
    value: float | None
    low: float | None
    high: float | None
    verdict: EdgeVerdictWord


@dataclass(frozen=True, kw_only=True)
class MeanAndMost:
    """A sensor over the measurement."""

    mean: float
    max: float


@dataclass(frozen=True, kw_only=True)
class EdgeAcceptance:
    """`acceptance.json`. `latency_s` is what clients of the service see, `engine_latency_s` the engine alone, by label.

    `engine` and `outputs` are None for a language model, whose server loads the checkpoint itself; `ttft_s` and
    `tpot_s` are its, None otherwise. Power, temperature and `is_throttled` are None where there is no sensor for them.
    `engine_executions` is how many executions of the engine alone were timed. `accepted_at` is a time in UTC, ISO 8601.
    """

    name: str
    version: str
    content_digest: str
    hardware_id: str
    device: EdgeDevice
    engine: DeviceBuild | None
    power_mode: str | None
    verdict: EdgeVerdictWord
    outputs: OutputCheck | None
    load: OfferedLoad
    latency_s: Mapping[str, Interval]
    engine_latency_s: Mapping[str, Interval] | None
    verdicts: tuple[MetricVerdict, ...]
    power_w: MeanAndMost | None
    temperature_c: MeanAndMost | None
    is_throttled: bool | None
    engine_executions: int = 0
    accepted_at: str | None = None
    ttft_s: Mapping[str, Interval] | None = None
    tpot_s: Mapping[str, Interval] | None = None
