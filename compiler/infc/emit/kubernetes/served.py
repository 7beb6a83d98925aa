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
class Planned:
    """Figures of the plan that alerts and dashboards show beside what is observed.

    `needed` replicas carry the peak. `most_backlog` is the mean number of requests that wait at one replica (of a
    language model: that it holds) at the highest load that it bears, None where the simulation does not tell.
    `utilization` and `batch` are those of one replica at the peak (of a language model: `batch` running sequences),
    `usd_per_hour` of all replicas, None without a price.
    """

    needed: int
    most_backlog: float | None
    utilization: float
    batch: float
    usd_per_hour: float | None


@dataclass(frozen=True, kw_only=True)
class Served:
    """One deployment as its metrics show it.

    `model` is the value of the server's label of the model (`model` on Triton, `model_name` on vLLM). `availability` is
    the share of requests that must succeed, None where the spec has none. `shadow_outputs` are the names of the outputs
    that a quality shadow compares, with the agreement below which it alerts; empty without a shadow. It compares one
    request in every `shadow_one_in` (None: not known). `metrics_port` is the pod's port of that name. `planned` is what
    the plan says of it (`emit.autoscaling.planned_figures`), None where only names are known. `start_s` is how long a
    new replica takes until it serves, once its container runs.
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
    shadow_one_in: int | None = None
    planned: Planned | None = None
    start_s: float = 60.0
