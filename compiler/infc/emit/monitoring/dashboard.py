"""The Grafana dashboard of a deployment: what was promised and predicted beside what is observed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from infc.emit.kubernetes.objects import Manifest
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.alerts import SHADOW_AGREEMENTS, SHADOW_REQUESTS
from infc.emit.monitoring.objectives import objectives_of
from infc.emit.monitoring.promql import number, selector
from infc.emit.monitoring.recordings import (
    BACKLOG,
    QUEUE_S,
    REPLICAS,
    REQUESTS,
    broken_share,
    ratio_name,
    recorded,
)
from infc.emit.monitoring.scope import Scope, scope_of
from infc.emit.monitoring.signals import Signals, signals_of
from infc.emit.yaml_text import YamlValue
from infc.plan.words import duration_text

SCHEMA_VERSION = 42
"""Source: npm @grafana/schema 13.2.3, default of its dashboard kind. Later Grafanas migrate it when it is opened."""
SIDECAR_LABEL = "grafana_dashboard"
"""Label that Grafana's sidecar looks for. Source: the Grafana Helm chart, `sidecar.dashboards.label`."""
DASHBOARD_FILE = "dashboard.json"
_DATASOURCE: Manifest = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS, _HEIGHT = 24, 8


@dataclass(frozen=True, kw_only=True)
class Query:
    """One line of a panel. `legend` is a text of ours or names labels in double braces."""

    expr: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture: queries in one unit of Grafana's; `lines` are values to draw across."""

    title: str
    unit: str
    queries: Sequence[Query]
    description: str
    kind: str = "timeseries"
    width: int = 8
    lines: Mapping[float, str] = field(default_factory=dict)


def dashboard(served: Served, *, is_in_cluster: bool) -> Manifest:
    """The dashboard as Grafana reads it; same deployment, same dashboard."""
    scope = scope_of(served, is_in_cluster=is_in_cluster)
    panels = list(_panels(served, signals_of(served, scope), scope))
    name = served.identity.name
    return {
        "title": f"{name} (infc)",
        "uid": _uid(served),
        "description": f"SLO, latency and load of {name}, with what the plan predicts.",
        "tags": ["infc"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "templating": {"list": [_datasource_variable()]},
        "links": [],
        "panels": _laid_out(panels),
    }


def dashboard_file(served: Served, *, is_in_cluster: bool) -> bytes:
    """The dashboard as a file that Grafana imports."""
    return (json.dumps(dashboard(served, is_in_cluster=is_in_cluster), indent=1, ensure_ascii=True) + "\n").encode()


def dashboard_config_map(served: Served) -> Manifest:
    """The dashboard for Grafana's sidecar, which finds it by its label and follows its changes."""
    metadata = served.identity.metadata(served.identity.suffixed("-dashboard"))
    labels = metadata["labels"]
    assert isinstance(labels, dict)  # noqa: S101 - made just now
    content = dashboard_file(served, is_in_cluster=True).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**metadata, "labels": {**labels, SIDECAR_LABEL: "1"}},
        "data": {f"{served.identity.name}.json": content},
    }


def _uid(served: Served) -> str:
    """An id of at most 40 characters, which Grafana allows: the same for every version of the deployment."""
    import hashlib

    whole = f"{served.identity.namespace}/{served.identity.name}"
    return "infc-" + hashlib.sha256(whole.encode()).hexdigest()[:20]


def _datasource_variable() -> Manifest:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _panels(served: Served, signals: Signals, scope: Scope) -> Iterator[Panel]:
    yield from _slo_panels(served, scope)
    yield from _latency_panels(served, signals, scope)
    yield from _load_panels(served, signals, scope)
    if served.server == "vllm":
        yield from _token_panels(scope)
    if served.shadow_outputs:
        yield from _shadow_panels(scope)


def _slo_panels(served: Served, scope: Scope) -> Iterator[Panel]:
    for objective in objectives_of(served):
        share = broken_share(scope, objective, "30d")
        limit = "" if objective.goal is None else f" within {duration_text(objective.goal.limit_s)}"
        yield Panel(
            title=f"Error budget left, 30 days: {objective.id}{limit}",
            unit="percentunit",
            kind="stat",
            width=6,
            queries=[Query(expr=f"1 - ({share}) / {number(objective.budget)}", legend="left")],
            description=f"{objective.budget * 100:.4g}% of the requests may miss it; below 0 the promise is broken.",
        )
    yield Panel(
        title="SLO attainment, 1 hour",
        unit="percentunit",
        width=12,
        queries=[
            Query(expr=f"1 - {recorded(ratio_name(3_600), scope, objective)}", legend=objective.id)
            for objective in objectives_of(served)
        ],
        description="Share of the requests of the last hour that kept each promise.",
    )
    yield Panel(
        title="Budget burn, 1 hour",
        unit="short",
        width=12,
        queries=[
            Query(
                expr=f"{recorded(ratio_name(3_600), scope, objective)} / {number(objective.budget)}",
                legend=objective.id,
            )
            for objective in objectives_of(served)
        ],
        description="How many times faster than allowed the error budget is used up; 14.4 pages.",
        lines={1.0: "green", 14.4: "red"},
    )


def _latency_panels(served: Served, signals: Signals, scope: Scope) -> Iterator[Panel]:
    for goal in served.goals:
        lines = {goal.limit_s: "red"}
        predicted = "not predicted"
        if goal.predicted_s is not None:
            lines[goal.predicted_s] = "blue"
            predicted = duration_text(goal.predicted_s)
        yield Panel(
            title=f"Latency {goal.label}",
            unit="s",
            queries=[Query(expr=signals.percentiles[goal.label], legend=f"{goal.label} (worst replica)")],
            description=f"Limit {duration_text(goal.limit_s)} (red), predicted at the peak {predicted} (blue).",
            lines=lines,
        )
    yield Panel(
        title="Queue and compute",
        unit="s",
        queries=[
            Query(expr=recorded(QUEUE_S, scope), legend="waiting"),
            Query(expr=signals.compute_s, legend="computing"),
        ],
        description="Seconds of a mean request in the queue and in execution.",
    )


def _load_panels(served: Served, signals: Signals, scope: Scope) -> Iterator[Panel]:
    planned, is_triton = served.planned, served.server == "triton"
    yield Panel(
        title="Requests",
        unit="reqps",
        queries=[Query(expr=recorded(REQUESTS, scope), legend="requests/s")],
        description=f"The plan is for a peak of {served.peak_rps:g}/s (red).",
        lines={served.peak_rps: "red"},
    )
    yield Panel(
        title="Requests waiting, each replica" if is_triton else "Requests in hand, each replica",
        unit="short",
        queries=[Query(expr=f"{recorded(BACKLOG, scope)} / ({recorded(REPLICAS, scope)} > 0)", legend="observed")],
        description="What autoscaling acts on. Red: at the highest load that a replica bears (simulated).",
        lines={} if planned is None or planned.most_backlog is None else {planned.most_backlog: "red"},
    )
    yield Panel(
        title="Batch size" if is_triton else "Running sequences, each replica",
        unit="short",
        queries=[Query(expr=signals.batch, legend="observed")],
        description="Blue: as planned at the peak.",
        lines={} if planned is None else {planned.batch: "blue"},
    )
    yield Panel(
        title="Replicas",
        unit="short",
        queries=[Query(expr=recorded(REPLICAS, scope), legend="up")],
        description=f"Blue: the plan's {served.replicas} at the peak.",
        lines={float(served.replicas): "blue"},
    )
    yield Panel(
        title="Busy share of an instance" if is_triton else "KV cache in use",
        unit="percentunit",
        queries=[Query(expr=signals.busy, legend="observed")],
        description="Blue: as planned at the peak.",
        lines={} if planned is None or not is_triton else {planned.utilization: "blue"},
    )
    if planned is not None and planned.usd_per_hour is not None:
        each = planned.usd_per_hour / served.replicas
        yield Panel(
            title="Cost per hour",
            unit="currencyUSD",
            queries=[Query(expr=f"{recorded(REPLICAS, scope)} * {number(each)}", legend="running replicas")],
            description=f"Running replicas at the plan's price; the plan: {planned.usd_per_hour:.2f} USD (blue).",
            lines={planned.usd_per_hour: "blue"},
        )


def _token_panels(scope: Scope) -> Iterator[Panel]:
    def rate(metric: str) -> str:
        return f"sum(rate({selector(metric, scope.model)}[5m]))"

    yield Panel(
        title="Tokens",
        unit="short",
        queries=[
            Query(expr=rate("vllm:generation_tokens_total"), legend="generated/s"),
            Query(expr=rate("vllm:prompt_tokens_total"), legend="of prompts/s"),
        ],
        description="Tokens per second of all replicas.",
    )
    hits, queries = rate("vllm:prefix_cache_hits_total"), rate("vllm:prefix_cache_queries_total")
    yield Panel(
        title="Prefix cache hits, preemptions",
        unit="short",
        queries=[
            Query(expr=f"{hits} / ({queries} > 0) or vector(0)", legend="share of prompt tokens found in the cache"),
            Query(expr=rate("vllm:num_preemptions_total"), legend="preemptions/s"),
        ],
        description="Preemptions mean that the KV cache is too small for what runs at once.",
    )


def _shadow_panels(scope: Scope) -> Iterator[Panel]:
    compared = f"sum by (output) (increase({selector(SHADOW_REQUESTS, scope.model)}[1h]))"
    agreed = f"sum by (output) (increase({selector(SHADOW_AGREEMENTS, scope.model)}[1h]))"
    yield Panel(
        title="Quality shadow: agreement, 1 hour",
        unit="percentunit",
        queries=[Query(expr=f"{agreed} / ({compared} > 0)", legend="{{output}}")],
        description="Share of the sampled requests whose answer agrees with the reference model's.",
    )


def _laid_out(panels: Sequence[Panel]) -> list[YamlValue]:
    """Panels from left to right, row by row."""
    placed: list[YamlValue] = []
    x = y = 0
    for number_, panel in enumerate(panels, start=1):
        if x + panel.width > _COLUMNS:
            x, y = 0, y + _HEIGHT
        place: Manifest = {"x": x, "y": y, "w": panel.width, "h": _HEIGHT}
        placed.append(_panel_json(number_, panel, place))
        x += panel.width
    return placed


def _panel_json(id: int, panel: Panel, place: Manifest) -> Manifest:
    steps: list[YamlValue] = [{"color": "transparent" if panel.lines else "green", "value": None}]
    steps += [{"color": color, "value": value} for value, color in sorted(panel.lines.items())]
    custom: Manifest = {"thresholdsStyle": {"mode": "line" if panel.lines else "off"}}
    defaults: Manifest = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        defaults["custom"] = custom
    return {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": dict(_DATASOURCE),
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": dict(_DATASOURCE),
                "expr": query.expr,
                "legendFormat": query.legend,
                "editorMode": "code",
                "range": panel.kind == "timeseries",
                "instant": panel.kind != "timeseries",
            }
            for index, query in enumerate(panel.queries)
        ],
    }
