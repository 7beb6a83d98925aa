"""What a candidate is predicted to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.interval import Basis, Interval
from infc.ir.service_time import ServiceTimeCurve


@dataclass(frozen=True, kw_only=True)
class MemoryBreakdown:
    """Device memory of one GPU with all its instances, in bytes.

    `is_from_builder`: weights and activations are the engine builder's figures, not an estimate.
    """

    weights_bytes: float
    activations_bytes: float
    kv_cache_bytes: float
    runtime_bytes: float
    is_from_builder: bool = False

    @property
    def total_bytes(self) -> float:
        """All of it."""
        return self.weights_bytes + self.activations_bytes + self.kv_cache_bytes + self.runtime_bytes


@dataclass(frozen=True, kw_only=True)
class CostPart:
    """One part of what an hour costs, and for how many devices in the mean over the day.

    `name` is rent (one price for all), reserved 1y or reserved 3y, on-demand, spot; of owned devices purchase, hosting,
    electricity.
    """

    name: str
    devices: float
    usd_per_hour: float


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """Money of the whole deployment, at the mean rate over the day.

    `usd_per_million_tokens` counts generated tokens, `usd_per_million_all_tokens` those of the prompts too; both are
    None where the model generates none. `interval_usd_per_hour` spans the replicas that would carry the peak at the
    ends of the predicted service times, and the predicted power where electricity is paid. `notes` are what a reader
    must know of the figure.
    """

    usd_per_hour: float
    usd_per_month: float
    usd_per_million_requests: float
    price_source: str
    usd_per_million_tokens: float | None = None
    usd_per_million_all_tokens: float | None = None
    interval_usd_per_hour: Interval | None = None
    parts: tuple[CostPart, ...] = ()
    notes: tuple[str, ...] = ()

    def scaled_interval(self, value: float) -> Interval:
        """The interval of another figure of this cost, which is proportional to the cost of an hour."""
        interval = self.interval_usd_per_hour or Interval.exact(self.usd_per_hour)
        return interval.scaled(value / self.usd_per_hour) if self.usd_per_hour else Interval.exact(value)


@dataclass(frozen=True, kw_only=True)
class EnergyEstimate:
    """Electrical energy of all devices at the mean rate over the day; the rest of the machine and cooling not included.

    `joules_per_token` counts generated tokens and is None where the model generates none.
    """

    power_w: Interval
    joules_per_request: Interval
    kwh_per_month: Interval
    joules_per_token: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class TokenEstimate:
    """What a language-model server is predicted to do beyond `Estimate`: token latencies at the peak rate.

    `ttft_s`, `tpot_s` and `itl_s` have the keys of `Estimate.e2e_s`. `output_tokens_per_s` is what all replicas can
    sustain. `kv_cache_utilization` is the mean share of the KV cache in use, `kv_cache_tokens` what one replica's
    cache holds, `running_sequences` the mean number in a step of one replica, `preemptions` per request.
    `usual_requests` and `longest_requests` are how many requests of the usual length (the medians of prompt and output)
    and of the longest one replica's cache holds at once.
    """

    ttft_s: Mapping[str, Interval]
    tpot_s: Mapping[str, Interval]
    itl_s: Mapping[str, Interval]
    output_tokens_per_s: Interval
    kv_cache_utilization: float
    kv_cache_tokens: int
    running_sequences: float
    preemptions: float
    usual_requests: int = 0
    longest_requests: int = 0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The predicted behaviour of a candidate with its replicas under the peak rate.

    `e2e_s` maps "mean", "p50", "p90", "p95", "p99" and every percentile of the spec to seconds, queueing included.
    `throughput_rps` is what all replicas can sustain at full batches, `goodput_rps` completed requests within the SLO.
    `utilization` is the busy share of an instance at the peak, `mean_utilization` at the mean rate over the day.
    `power_w` is of all devices at the peak, `energy` what they use at the mean rate. Intervals are at `confidence`. A
    language model has `tokens` and no `service_time`; any other model the reverse.
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
    energy: EnergyEstimate | None = None
    mean_utilization: float | None = None

    @property
    def requests_per_joule(self) -> float | None:
        """Requests that meet the SLO at the peak, for each joule of the devices."""
        return None if self.power_w is None else self.goodput_rps / self.power_w.value

    @property
    def tokens_per_joule(self) -> float | None:
        """Generated tokens of the requests that meet the SLO at the peak, for each joule of the devices."""
        if self.tokens is None or self.requests_per_joule is None or self.throughput_rps.value <= 0:
            return None
        return self.requests_per_joule * self.tokens.output_tokens_per_s.value / self.throughput_rps.value
