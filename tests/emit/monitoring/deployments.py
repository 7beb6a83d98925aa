"""Deployments as monitoring knows them: one on each server, and one whose names try to get out of every text."""

from dataclasses import replace

from infc.emit.kubernetes.objects import Identity
from infc.emit.kubernetes.served import Goal, Planned, Served

HOSTILE = '"} or vector(1) # {{ $labels }} ${datasource} [[x]] `id` $(id) \\ \n - a: "b'
"""Quotes, braces, templates of Prometheus and Grafana, a shell's substitutions, a line end, YAML."""


def triton(**changes: object) -> Served:
    """A model on Triton with two latency goals, an availability and a shadow."""
    planned = Planned(needed=2, most_backlog=3.25, utilization=0.6, batch=3.1, usd_per_hour=2.4)
    served = Served(
        identity=Identity(name="lookup", namespace="ml", component="triton", labels={"team": "search"}),
        server="triton",
        model="lookup",
        goals=(
            Goal(metric="latency", label="p50", percentile=50.0, limit_s=0.008, predicted_s=0.004),
            Goal(metric="latency", label="p99", percentile=99.0, limit_s=0.025, predicted_s=0.02),
        ),
        availability=0.999,
        replicas=3,
        instances_per_replica=2,
        peak_rps=800.0,
        metrics_port="metrics",
        shadow_outputs={"scores": 0.98},
        planned=planned,
    )
    return replace(served, **changes)  # type: ignore[arg-type]


def vllm(**changes: object) -> Served:
    """A language model on vLLM."""
    planned = Planned(needed=1, most_backlog=12.0, utilization=0.6, batch=6.0, usd_per_hour=None)
    served = Served(
        identity=Identity(name="chat", namespace="ml", component="vllm", labels={}),
        server="vllm",
        model="acme/chat-8b",
        goals=(
            Goal(metric="ttft", label="ttft p95", percentile=95.0, limit_s=2.0, predicted_s=0.4),
            Goal(metric="tpot", label="tpot p95", percentile=95.0, limit_s=0.2, predicted_s=None),
        ),
        availability=0.999,
        replicas=1,
        instances_per_replica=1,
        peak_rps=5.0,
        metrics_port="http",
        shadow_outputs={},
        planned=planned,
    )
    return replace(served, **changes)  # type: ignore[arg-type]


def hostile() -> Served:
    """Model and outputs of names that are texts of other languages."""
    return triton(model=HOSTILE, shadow_outputs={HOSTILE: 0.98})
