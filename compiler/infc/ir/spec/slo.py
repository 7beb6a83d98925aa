"""`slo`: what the service promises."""

from pydantic import Field

from infc.ir.spec.base import Fraction, LatencyTargets, SpecModel

TARGET_KEYS = ("latency", "ttft", "tpot", "e2e")


class Slo(SpecModel):
    """Latency targets by percentile (at least one), judged at the workload's peak, and availability."""

    latency: LatencyTargets | None = Field(
        default=None, description="End-to-end latency at the server, queueing included, by percentile."
    )
    ttft: LatencyTargets | None = Field(
        default=None,
        description="LLM: time from the request to the first token, queueing and prefill included, by percentile.",
    )
    tpot: LatencyTargets | None = Field(
        default=None, description="LLM: time per output token after the first, one value a request, by percentile."
    )
    e2e: LatencyTargets | None = Field(
        default=None, description="LLM: time from the request to the last token, queueing included, by percentile."
    )
    availability: Fraction | None = Field(default=None, description="Share of requests that must be served.")
