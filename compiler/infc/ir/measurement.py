"""What a load test measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infc.ir.accuracy import Verdict
from infc.ir.distribution import Curve
from infc.ir.interval import Interval
from infc.ir.service_time import ServiceTimeProfile


@dataclass(frozen=True, kw_only=True)
class LatencyLayers:
    """Mean seconds per request by layer, from the server's own statistics and the client's clock."""

    transport_s: float
    queue_s: float
    compute_input_s: float
    compute_s: float
    compute_output_s: float


@dataclass(frozen=True, kw_only=True)
class SloVerdict:
    """One percentile against its limit.

    The verdict holds at `confidence`; `measured_s` has distribution-free bounds, `predicted_s` is the plan's. `overs`
    of `samples` took longer than the limit; the samples carry the information of `effective_samples` independent
    ones. `samples_needed` is how many in all would settle an inconclusive verdict, None when settled or when no
    affordable number would.
    """

    label: str
    limit_s: float
    predicted_s: Interval | None
    measured_s: Interval
    confidence: float
    verdict: Verdict
    samples: int = 0
    overs: int = 0
    effective_samples: float = 0.0
    samples_needed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of `infc validate`. Latencies are from send to answer at the client, open loop, warm-up excluded.

    `e2e_s` has the same keys as `Estimate.e2e_s`. `send_lag_p99_s` is how late the client sent: verdicts count it as
    latency, and a failure has to hold without the requests that were sent late. `predicted_s` are the plan's
    percentiles under the same keys. Intervals of `e2e_s` are at `interval_confidence`; an upper bound is infinite
    where the samples do not bound that side. A failed request counts as one that took the timeout. `stopped_by` is
    one of settled, budget, saturated. `environment` names server, engine, versions and device. `batch_sizes` maps a
    batch size to its executions. `notes` say what a reader must know before trusting the numbers. `curve_s` is the
    whole distribution, as far as the samples say something of it.
    """

    name: str
    target: str
    offered_rps: float
    completed_rps: float
    requests: int
    errors: int
    duration_s: float
    e2e_s: Mapping[str, Interval]
    layers: LatencyLayers
    mean_batch_size: float
    send_lag_p99_s: float
    verdicts: tuple[SloVerdict, ...]
    verdict: Verdict
    stopped_by: str
    is_rehearsal: bool
    service_time: ServiceTimeProfile | None
    environment: Mapping[str, str]
    batch_sizes: Mapping[int, int] = field(default_factory=dict)
    predicted_s: Mapping[str, Interval] = field(default_factory=dict)
    interval_confidence: float = 0.95
    warmup_s: float = 0.0
    notes: tuple[str, ...] = ()
    curve_s: Curve = ()
