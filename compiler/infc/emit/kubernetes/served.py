"""What monitoring and autoscaling need to know of a deployment, whichever server it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from infc.emit.kubernetes.objects import Identity


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A percentile of the SLO: `label` is p99, `ttft p99` or `tpot p99` as reports write it; both times in seconds."""

    metric: Literal["latency", "ttft", "tpot"]
    label: str
    percentile: float
    limit_s: float
    predicted_s: float | None


@dataclass(frozen=True, kw_only=True)
class Served:
    """One deployment as its metrics show it.

    `model` is the value of the server's label of the model (`model` on Triton, `model_name` on vLLM). `availability` is
    the share of requests that must succeed, None where the spec has none. `shadow_outputs` are the names of the outputs
    that a quality shadow compares, with the agreement below which it alerts; empty without a shadow. `metrics_port` is
    the pod's port of that name.
    """

    identity: Identity
    server: Literal["triton", "vllm"]
    model: str
    goals: tuple[Goal, ...]
    availability: float | None
    replicas: int
    instances_per_replica: int
    peak_rps: float
    metrics_port: str
    shadow_outputs: Mapping[str, float]
