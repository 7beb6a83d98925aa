"""The alerts of a deployment: what is wrong, by how much, and where to read on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.emit.kubernetes.objects import Manifest
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.objectives import FEWEST_BAD, Objective, Window, objectives_of
from infc.emit.monitoring.promql import duration, number, selector, template_text
from infc.emit.monitoring.recordings import (
    BACKLOG,
    BROKEN,
    REPLICAS,
    REQUESTS,
    ratio_name,
    recorded,
)
from infc.emit.monitoring.scope import Scope
from infc.emit.monitoring.signals import Signals
from infc.plan.words import counted, duration_text

Severity: TypeAlias = Literal["critical", "warning", "info"]
SHADOW_REQUESTS = "infc_shadow_requests_total"
SHADOW_AGREEMENTS = "infc_shadow_agreements_total"
FEWEST_COMPARED = 100
"""Compared requests before a share of agreement says anything."""
_SHADOW_WINDOW, _SHADOW_WINDOW_S, _SHADOW_REQUESTS = "6h", 21_600, 100_000
_SHADOW_SAMPLES = 50
"""Comparisons that a silent shadow should have made: fewer may be missing by chance."""
_AGREEMENT_WINDOWS_S = (3_600, 21_600, 86_400, 259_200)
_QUIET_SHARE = 0.25
"""What the rate may fall to, as a share of the peak, with the share of agreement still known."""
_RUNBOOK = "docs/slo.md"
_HOLD_S = 600
_PLAN_HOLD_S = 900


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alerting rule. `summary` and `description` are plain text around Prometheus' own templates."""

    name: str
    expr: str
    hold_s: int
    severity: Severity
    summary: str
    description: str
    section: str
    labels: Mapping[str, str]

    def to_rule(self) -> Manifest:
        """The rule as Prometheus reads it."""
        hold: Manifest = {"for": duration(self.hold_s)} if self.hold_s else {}
        return {
            "alert": self.name,
            "expr": self.expr,
            **hold,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"{_RUNBOOK}#{self.section}",
            },
        }


def alerts_of(served: Served, signals: Signals, scope: Scope) -> tuple[Alert, ...]:
    """Every alert of a deployment."""
    return (
        *_burn_alerts(served, scope),
        _absent(served, scope),
        *_unmeasured(served, signals, scope),
        *_saturation(served, scope),
        _above_plan(served, scope),
        *_shadow(served, scope),
    )


def _burn_alerts(served: Served, scope: Scope) -> Iterator[Alert]:
    for objective in objectives_of(served):
        for window in objective.windows:
            yield _burn(served, scope, objective, window)


def _burn(served: Served, scope: Scope, objective: Objective, window: Window) -> Alert:
    share = objective.alert_share(window)
    long, short = duration(window.long_s), duration(window.short_s)
    of_long = recorded(ratio_name(window.long_s), scope, objective)
    of_short = recorded(ratio_name(window.short_s), scope, objective)
    broken = recorded(BROKEN, scope, objective)
    enough = f"avg_over_time({broken}[{long}]) * {window.long_s} >= {FEWEST_BAD}"
    goal = objective.goal
    if goal is None:
        name, what = "InfcAvailabilitySloBurn", "failed"
        promise = f"{1.0 - objective.budget:.6%}".rstrip("%").rstrip("0").rstrip(".") + "% must succeed"
    else:
        name, what = "InfcLatencySloBurn", f"took longer than {duration_text(goal.limit_s)} ({_metric(goal.metric)})"
        promise = f"{goal.percentile:g}% must stay within it"
        if goal.predicted_s is not None:
            promise += f", the plan predicts {goal.label} {duration_text(goal.predicted_s)}"
    value = "{{ $value | humanizePercentage }}"
    return Alert(
        name=name,
        expr=f"{of_long} > {number(share)} and {of_short} > {number(share)} and {enough}",
        hold_s=0,
        severity=window.severity,
        summary=f"{_name(served)}: {value} of the requests of the last {long} {what}",
        description=f"{promise}. An alert at {_percent(share)} over {long} and over {short}: "
        f"{_times(share / objective.budget)} as fast as the budget of {_percent(objective.budget)} allows.",
        section="budget-burn",
        labels={"goal": template_text(objective.id), "window": long},
    )


def _absent(served: Served, scope: Scope) -> Alert:
    success = "nv_inference_request_success" if served.server == "triton" else "vllm:num_requests_running"
    up = selector("up", scope.targets)
    model = selector(success, scope.model)
    return Alert(
        name="InfcMetricsAbsent",
        expr=f"max(absent({up} == 1) or absent({model}))",
        hold_s=300,
        severity="critical",
        summary=f"{_name(served)}: no replica reports its metrics",
        description="For 5 minutes Prometheus has read no metrics of the model from any replica: none is running, none "
        "is reached, or the server does not serve this model. No other alert of this deployment can fire meanwhile.",
        section="metrics-absent",
        labels=_texts(scope.recorded),
    )


def _unmeasured(served: Served, signals: Signals, scope: Scope) -> Iterator[Alert]:
    requests = recorded(REQUESTS, scope)
    hint = {
        "triton": "start tritonserver with the --metrics-config arguments of the bundle's launch command",
        "vllm": "start vLLM with the custom-histogram-buckets of the bundle's serve.yaml",
    }[served.server]
    for objective in objectives_of(served):
        if objective.goal is None:
            continue
        series = signals.latency_series[objective.id]
        yield Alert(
            name="InfcLatencyNotMeasured",
            expr=f"{requests} > 0 unless on () (count({series}) > 0)",
            hold_s=_HOLD_S,
            severity="warning",
            summary=f"{_name(served)}: nothing tells how many requests are late",
            description=f"Requests are answered, but the servers do not export what the goal {objective.id} "
            f"({duration_text(objective.goal.limit_s)}) is judged by: {hint}.",
            section="latency-not-measured",
            labels={"goal": template_text(objective.id)},
        )


def _saturation(served: Served, scope: Scope) -> Iterator[Alert]:
    planned = served.planned
    if planned is None or planned.most_backlog is None:
        return
    backlog, replicas = recorded(BACKLOG, scope), recorded(REPLICAS, scope)
    state = "wait at" if served.server == "triton" else "are in the hands of"
    yield Alert(
        name="InfcQueueSaturated",
        expr=f"{backlog} / ({replicas} > 0) > {number(planned.most_backlog)}",
        hold_s=_HOLD_S,
        severity="warning",
        summary=f"{_name(served)}: " + "{{ $value | humanize }} requests " + state + " each replica",
        description=f"At the highest load that a replica bears it is {planned.most_backlog:.3g}, simulated: "
        "more replicas are needed, or executions take longer than planned.",
        section="queue-saturated",
        labels={},
    )


def _above_plan(served: Served, scope: Scope) -> Alert:
    replicas = counted(served.replicas, "replica")
    return Alert(
        name="InfcTrafficAbovePlan",
        expr=f"avg_over_time({recorded(REQUESTS, scope)}[{duration(_PLAN_HOLD_S)}]) > {number(served.peak_rps)}",
        hold_s=_PLAN_HOLD_S,
        severity="warning",
        summary=f"{_name(served)}: " + "{{ $value | humanize }} requests/s, more than was planned for",
        description=f"The plan is for a peak of {served.peak_rps:g} requests/s with {replicas}. "
        "Raise workload.peak in the spec and plan again; infc drift shows what else has changed.",
        section="traffic-above-plan",
        labels={},
    )


def _agreement_window_s(served: Served) -> int:
    """The shortest window in which a shadow compares enough requests, also in quiet hours."""
    if served.shadow_one_in is None:
        return _AGREEMENT_WINDOWS_S[0]
    needed_s = 2 * FEWEST_COMPARED * served.shadow_one_in / (_QUIET_SHARE * served.peak_rps)
    return next((each for each in _AGREEMENT_WINDOWS_S if each >= needed_s), _AGREEMENT_WINDOWS_S[-1])


def _shadow(served: Served, scope: Scope) -> Iterator[Alert]:
    window = duration(_agreement_window_s(served))
    for output, least in sorted(served.shadow_outputs.items()):
        labels = {**scope.model, "output": output}
        compared = f"sum(increase({selector(SHADOW_REQUESTS, labels)}[{window}]))"
        agreed = f"sum(increase({selector(SHADOW_AGREEMENTS, labels)}[{window}]))"
        yield Alert(
            name="InfcShadowDisagrees",
            expr=f"{agreed} / ({compared} > {FEWEST_COMPARED}) < {number(least)}",
            hold_s=_HOLD_S,
            severity="warning",
            summary=f"{_name(served)}: " + "{{ $value | humanizePercentage }} of the sampled answers agree",
            description=f"The quality shadow compares sampled answers with the reference model's: of output "
            f"{template_text(output)} at least {_percent(least)} must agree over {window}.",
            section="shadow-disagrees",
            labels={**_texts(scope.recorded), "output": template_text(output)},
        )

    if served.shadow_outputs:
        yield _silent_shadow(served, scope)


def _silent_shadow(served: Served, scope: Scope) -> Alert:
    asked_for = max(_SHADOW_REQUESTS, _SHADOW_SAMPLES * (served.shadow_one_in or 1))
    compared = f"sum(increase({selector(SHADOW_REQUESTS, scope.model)}[{_SHADOW_WINDOW}]))"
    asked = f"avg_over_time({recorded(REQUESTS, scope)}[{_SHADOW_WINDOW}]) * {_SHADOW_WINDOW_S}"
    return Alert(
        name="InfcShadowSilent",
        expr=f"{asked} > {asked_for} unless on () {compared} > 0",
        hold_s=_PLAN_HOLD_S,
        severity="warning",
        summary=f"{_name(served)}: the quality shadow compares nothing",
        description=f"More than {asked_for} requests in {_SHADOW_WINDOW}, and not one was compared with the "
        "reference model: nothing watches the quality of the answers.",
        section="shadow-silent",
        labels={},
    )


def _texts(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: template_text(value) for name, value in labels.items()}


def _name(served: Served) -> str:
    return template_text(served.identity.name)


def _metric(metric: str) -> str:
    return {"latency": "latency", "ttft": "time to the first token", "tpot": "time per output token"}[metric]


def _times(factor: float) -> str:
    return "just" if factor == 1.0 else f"{factor:.3g} times"


def _percent(share: float) -> str:
    return f"{share * 100.0:.6g}%"
