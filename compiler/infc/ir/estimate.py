"""What a candidate is predicted to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.interval import Basis, Interval
from infc.ir.service_time import ServiceTimeCurve


@dataclass(frozen=True, kw_only=True)
class MemoryBreakdown:
    """Device memory of one GPU with all its instances, in bytes."""

    weights_bytes: float
    activations_bytes: float
    kv_cache_bytes: float
    runtime_bytes: float

    @property
    def total_bytes(self) -> float:
        """All of it."""
        return self.weights_bytes + self.activations_bytes + self.kv_cache_bytes + self.runtime_bytes


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """Money of the whole deployment. None where the device has no price in the chosen books."""

    usd_per_hour: float
    usd_per_month: float
    usd_per_million_requests: float
    price_source: str
    usd_per_million_tokens: float | None = None


@dataclass(frozen=True, kw_only=True)
class TokenEstimate:
    """What a language-model server is predicted to do beyond `Estimate`: token latencies at the peak rate.

    `ttft_s`, `tpot_s` and `itl_s` have the keys of `Estimate.e2e_s`. `output_tokens_per_s` is what all replicas can
    sustain. `kv_cache_utilization` is the mean share of the KV cache in use, `kv_cache_tokens` what one replica's
    cache holds, `running_sequences` the mean number in a step of one replica, `preemptions` per request.
    """

    ttft_s: Mapping[str, Interval]
    tpot_s: Mapping[str, Interval]
    itl_s: Mapping[str, Interval]
    output_tokens_per_s: Interval
    kv_cache_utilization: float
    kv_cache_tokens: int
    running_sequences: float
    preemptions: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The predicted behaviour of a candidate with its replicas under the peak rate.

    `e2e_s` maps "mean", "p50", "p90", "p95", "p99" and every percentile of the spec to seconds, queueing included.
    `throughput_rps` is what all replicas can sustain at full batches, `goodput_rps` completed requests within the SLO.
    `utilization` is the busy share of an instance at the peak. `power_w` is of all devices at that utilisation.
    Intervals are at `confidence`. A language model has `tokens` and no `service_time`; any other model the reverse.
    """

    e2e_s: Mapping[str, Interval]
    throughput_rps: Interval
    goodput_rps: float
    utilization: float
    mean_batch_size: float
    memory: MemoryBreakdown
    power_w: Interval | None
    cost: CostEstimate | None
    service_time: ServiceTimeCurve | None
    basis: Basis
    confidence: float
    tokens: TokenEstimate | None = None
