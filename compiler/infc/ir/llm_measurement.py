"""What a load test of a language-model server measured, by infc itself or by another load generator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from infc.ir.accuracy import Verdict
from infc.ir.distribution import Curve
from infc.ir.interval import Interval
from infc.ir.measurement import SloVerdict
from infc.ir.step_time import StepTimeProfile

TokenMetric: TypeAlias = Literal["ttft", "tpot", "itl", "e2e"]
LoadTool: TypeAlias = Literal["infc", "aiperf", "guidellm", "vllm-bench"]


@dataclass(frozen=True, kw_only=True)
class ServerView:
    """The server's own figures over the measured time, from its metrics endpoint.

    `mean_s` has the mean of each metric that the server keeps, `client_mean_s` ours of the same
    requests. `preemptions` are counted over the whole run, `kv_cache_usage` is the highest share seen.
    """

    mean_s: Mapping[TokenMetric, float]
    client_mean_s: Mapping[TokenMetric, float]
    requests: int
    preemptions: int
    kv_cache_usage: float | None


@dataclass(frozen=True, kw_only=True)
class LlmMeasurement:
    """The result of `infc validate` on a language-model server. Times are at the client, open loop, warm-up excluded.

    `percentiles_s` maps each metric to seconds by "mean", "p50", "p90", "p95", "p99" and the spec's percentiles, with
    bounds at `interval_confidence` (infinite where the samples do not bound that side); `predicted_s` are the plan's.
    TTFT runs from when a request was due to its first token, TPOT is (last - first) / (tokens - 1) of one request, ITL
    one gap between tokens, e2e from due to the last token. `goodput_rps` counts requests within every target.
    A failed request counts as one that took the timeout. `stopped_by`: settled, budget, saturated, imported. `tool` is
    what generated the load. `server` is None where its metrics could not be read. `step_times` are steps that the
    server logged meanwhile. `curves_s` are whole distributions, as far as the samples say something of them.
    """

    name: str
    target: str
    tool: LoadTool
    offered_rps: float
    completed_rps: float
    goodput_rps: float
    output_tokens_per_s: float
    requests: int
    errors: int
    duration_s: float
    percentiles_s: Mapping[TokenMetric, Mapping[str, Interval]]
    predicted_s: Mapping[TokenMetric, Mapping[str, Interval]]
    mean_prompt_tokens: float
    mean_output_tokens: float
    send_lag_p99_s: float
    verdicts: tuple[SloVerdict, ...]
    verdict: Verdict
    stopped_by: str
    environment: Mapping[str, str]
    server: ServerView | None = None
    step_times: StepTimeProfile | None = None
    interval_confidence: float = 0.95
    warmup_s: float = 0.0
    is_rehearsal: bool = False
    notes: tuple[str, ...] = field(default=())
    curves_s: Mapping[TokenMetric, Curve] = field(default_factory=dict)
