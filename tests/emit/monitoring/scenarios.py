"""Synthetic servers: what their metrics do over time, as promtool's rule tests take it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infc.emit.kubernetes.served import Served
from infc.emit.monitoring import monitoring_files
from infc.emit.monitoring.promql import bucket_edge, string
from infc.emit.monitoring.triton_summary import late_shares, quantile_label

from .prometheus import promtool

STEP_S = 15
EVALUATION = "60s"
_STATE = 'alertstate="firing"'


@dataclass(frozen=True, kw_only=True)
class Phase:
    """So many minutes of traffic of one kind.

    `rate` requests/s of each replica, of which `late` miss each latency goal and `failed` fail. `waiting` requests wait
    on average. `is_scraped` False: Prometheus reads nothing. `is_restarted`: counters begin anew. `is_up` False: the
    server does not answer. `compared` and `agreed` are a shadow's, per second.
    """

    minutes: float
    rate: float = 100.0
    late: float = 0.0
    failed: float = 0.0
    waiting: float = 0.5
    is_scraped: bool = True
    is_restarted: bool = False
    is_up: bool = True
    is_measured: bool = True
    compared: float = 1.0
    agreed: float = 1.0

    @property
    def samples(self) -> int:
        """Readings of the phase."""
        return round(self.minutes * 60 / STEP_S)


def alert(name: str, goal: str = "", severity: str = "", window: str = "", output: str = "") -> str:
    """An alert that fires, as promtool names its series."""
    labels = {"alertname": name, "goal": goal, "output": output, "severity": severity, "window": window}
    return "{" + ", ".join(f"{key}={string(value)}" for key, value in labels.items() if value) + "}"


def run(
    served: Served,
    phases: Sequence[Phase],
    expected: Mapping[float, Sequence[str]],
    folder: Path,
    *,
    replicas: int = 1,
    among: str = "",
) -> None:
    """Assert that exactly the expected alerts fire at so many minutes, by promtool and the emitted rules.

    `among` is a matcher of the alerts that are looked at: windows longer than the traffic see only what there is.
    """
    firing = (
        f"count by (alertname, goal, severity, window, output) (ALERTS{{{','.join(filter(None, [_STATE, among]))}}})"
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_bytes(monitoring_files(served)["monitoring/rules.yaml"])
    names = range(replicas)
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": EVALUATION,
        "tests": [
            {
                "interval": f"{STEP_S}s",
                "input_series": [
                    {"series": name, "values": " ".join(values)}
                    for number in names
                    for name, values in series(served, phases, f"10.0.0.{number + 1}:8002").items()
                ],
                "promql_expr_test": [
                    {
                        "expr": firing,
                        "eval_time": f"{round(minutes * 60)}s",
                        "exp_samples": [{"labels": each, "value": 1} for each in alerts],
                    }
                    for minutes, alerts in expected.items()
                ],
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test, width=2**20), encoding="utf-8")
    code, output = promtool("test", "rules", "test.yaml", cwd=folder)
    assert code == 0, output


def series(served: Served, phases: Sequence[Phase], instance: str) -> dict[str, list[str]]:
    """Every series that one replica exports, by name with labels: values as promtool reads them."""
    target = f'job="{served.identity.name}",instance="{instance}"'
    found = {f"up{{{target}}}": list(_gauge(phases, lambda phase: float(phase.is_up), is_servers=False))}
    exported = _triton(served, target) if served.server == "triton" else _vllm(served, target)
    for name, (kind, value) in exported.items():
        found[name] = list(_counter(phases, value) if kind == "counter" else _gauge(phases, value))
    return found


def _counter(phases: Sequence[Phase], per_second: Any) -> Iterator[str]:
    total = 0.0
    for phase in phases:
        rate = per_second(phase)
        if phase.is_restarted:
            total = 0.0
        for _ in range(phase.samples):
            total += (rate or 0.0) * STEP_S
            is_there = phase.is_scraped and phase.is_up and rate is not None
            yield f"{total:.6f}" if is_there else "_"


def _gauge(phases: Sequence[Phase], value: Any, *, is_servers: bool = True) -> Iterator[str]:
    for phase in phases:
        now = value(phase)
        is_there = phase.is_scraped and now is not None and (phase.is_up or not is_servers)
        yield from [str(now) if is_there else "_"] * phase.samples


def _triton(served: Served, target: str) -> dict[str, tuple[str, Any]]:
    model = f'{target},model={string(served.model)},version="1"'
    found: dict[str, tuple[str, Any]] = {
        f"nv_inference_request_success{{{model}}}": ("counter", lambda p: p.rate * (1 - p.failed)),
        f"nv_inference_exec_count{{{model}}}": ("counter", lambda p: p.rate / 2),
        f"nv_inference_queue_duration_us{{{model}}}": ("counter", lambda p: p.waiting * 1e6),
        f'nv_inference_request_failure{{{model},reason="BACKEND"}}': ("counter", lambda p: p.rate * p.failed),
        f'nv_inference_request_failure{{{model},reason="CANCELED"}}': ("counter", lambda p: p.rate),
    }
    for part in ("input", "infer", "output"):
        found[f"nv_inference_compute_{part}_duration_us{{{model}}}"] = ("counter", lambda p: p.rate * 1e3)
    for goal in served.goals:
        for share in late_shares(goal.percentile):
            name = f'nv_inference_request_summary_us{{{model},quantile="{quantile_label(share)}"}}'
            limit_us = goal.limit_s * 1e6
            found.setdefault(name, ("gauge", _quantile(share, limit_us)))
    for output in served.shadow_outputs:
        labels = f"{target},model={string(served.model)},output={string(output)}"
        found[f"infc_shadow_requests_total{{{labels}}}"] = ("counter", lambda p: p.compared)
        found[f"infc_shadow_agreements_total{{{labels}}}"] = ("counter", lambda p: p.agreed)
    return found


def _quantile(share: float, limit_us: float) -> Any:
    def value(phase: Phase) -> float | None:
        if not phase.is_measured:
            return None
        if phase.rate == 0.0:
            return float("nan")
        return limit_us * (1.5 if phase.late > share else 0.5)

    return lambda phase: "NaN" if (found := value(phase)) is not None and found != found else found


def _vllm(served: Served, target: str) -> dict[str, tuple[str, Any]]:
    model = f'{target},model_name={string(served.model)},engine="0"'
    http = f'{target},handler="/v1/completions",method="POST"'
    found: dict[str, tuple[str, Any]] = {
        f'vllm:request_success_total{{{model},finished_reason="length"}}': (
            "counter",
            lambda p: p.rate * (1 - p.failed),
        ),
        f'vllm:request_success_total{{{model},finished_reason="abort"}}': ("counter", lambda p: p.rate),
        f'http_requests_total{{{http},status="2xx"}}': ("counter", lambda p: p.rate * (1 - p.failed)),
        f'http_requests_total{{{http},status="4xx"}}': ("counter", lambda p: p.rate),
        f'http_requests_total{{{http},status="5xx"}}': ("counter", lambda p: p.rate * p.failed if p.failed else None),
        f"vllm:num_requests_running{{{model}}}": ("gauge", lambda p: 4.0),
        f"vllm:num_requests_waiting{{{model}}}": ("gauge", lambda p: p.waiting),
    }
    names = {"ttft": "vllm:time_to_first_token_seconds", "tpot": "vllm:request_time_per_output_token_seconds"}
    for goal in served.goals:
        metric = names[goal.metric]
        found[f'{metric}_bucket{{{model},le="{bucket_edge(goal.limit_s)}"}}'] = (
            "counter",
            lambda p: p.rate * (1 - p.late) if p.is_measured else None,
        )
        found[f'{metric}_bucket{{{model},le="+Inf"}}'] = ("counter", lambda p: p.rate)
        found[f"{metric}_count{{{model}}}"] = ("counter", lambda p: p.rate)
        found[f"{metric}_sum{{{model}}}"] = ("counter", lambda p: p.rate)
    return found
