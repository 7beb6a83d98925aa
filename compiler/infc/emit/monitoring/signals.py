"""What each server's metrics say, as PromQL: one vocabulary for rules, dashboards and autoscalers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from infc.emit.kubernetes.served import Goal, Served
from infc.emit.monitoring.promql import bucket_edge, duration, number, selector, string
from infc.emit.monitoring.scope import Scope
from infc.emit.monitoring.triton_summary import late_shares, quantile_label, share_steps

RATE_WINDOW_S = 60
"""What rates are taken over before they are recorded; longer windows average what was recorded."""
QUEUE_WINDOW_S = 120
"""What the number of waiting requests is averaged over: autoscalers act on it, so that a burst alone is no reason."""
_RATE = duration(RATE_WINDOW_S)
_QUEUE = duration(QUEUE_WINDOW_S)
_HISTOGRAMS = {
    "ttft": "vllm:time_to_first_token_seconds",
    "tpot": "vllm:request_time_per_output_token_seconds",
    "latency": "vllm:e2e_request_latency_seconds",
}
"""vLLM's histograms. Source: vLLM 0.32, v1/metrics/loggers.py; each is of requests, and `custom-histogram-buckets`
sets the bounds of the first by `time_to_first_token`, of the second by `inter_token_latency`, of the third by
`request_latency`."""


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Expressions that each give one number for the whole deployment (no labels), unless it says otherwise.

    `answered`, `failed`, `requests` and, by goal, `judged` and `late` are per second. `backlog` is a mean number of
    requests that wait (vLLM: that are in its hands, running or waiting). `queue_s` and `compute_s` are seconds of a
    mean request, `batch` is requests of a mean execution (vLLM: running sequences of a replica), `busy` a share.
    `percentiles` are seconds by goal. `latency_series` exist where latencies of a goal are measured. `replicas` counts
    servers that answer.
    """

    replicas: str
    answered: str
    failed: str
    judged: Mapping[str, str]
    late: Mapping[str, str]
    backlog: str
    queue_s: str
    compute_s: str
    batch: str
    busy: str
    percentiles: Mapping[str, str]
    latency_series: Mapping[str, str]

    @property
    def requests(self) -> str:
        """Requests that were answered or failed."""
        return f"{self.answered} + {self.failed}"


def signals_of(served: Served, scope: Scope) -> Signals:
    """The signals of a deployment's server."""
    match served.server:
        case "triton":
            return _triton(served, scope)
        case "vllm":
            return _vllm(served, scope)
        case _:
            assert_never(served.server)


def _replicas(scope: Scope) -> str:
    return f"sum({selector('up', scope.targets)})"


def _triton(served: Served, scope: Scope) -> Signals:
    def rate(metric: str, *matchers: str, window: str = _RATE) -> str:
        return f"rate({selector(metric, scope.model, *matchers)}[{window}])"

    answered = f"sum({rate('nv_inference_request_success')})"
    executions = f"sum({rate('nv_inference_exec_count')})"
    compute = " + ".join(
        f"sum({rate(f'nv_inference_compute_{part}_duration_us')})" for part in ("input", "infer", "output")
    )
    compute_s = f"({compute}) / 1e6 / ({answered} > 0)"
    batch = f"{answered} / ({executions} > 0)"
    return Signals(
        replicas=_replicas(scope),
        answered=answered,
        # A request that its client gave up is no failure of the server.
        failed="sum({})".format(rate("nv_inference_request_failure", 'reason!="CANCELED"')),
        judged={goal.label: answered for goal in served.goals},
        late={goal.label: _triton_late(goal, scope) for goal in served.goals},
        # Little's law: seconds of queueing in a second are requests that wait at once, in the mean.
        backlog=f"sum({rate('nv_inference_queue_duration_us', window=_QUEUE)}) / 1e6",
        queue_s=f"sum({rate('nv_inference_queue_duration_us')}) / 1e6 / ({answered} > 0)",
        compute_s=compute_s,
        batch=batch,
        # Every request of a batch is charged its whole execution: executions take the time of a mean request each.
        busy=f"{compute_s} * {executions} / ({_replicas(scope)} * {served.instances_per_replica} > 0)",
        percentiles={
            goal.label: f"max({_quantile(1.0 - goal.percentile / 100.0, scope)}) / 1e6" for goal in served.goals
        },
        latency_series={goal.label: _quantile(1.0 - goal.percentile / 100.0, scope) for goal in served.goals},
    )


def _quantile(share: float, scope: Scope) -> str:
    matcher = f"quantile={string(quantile_label(round(share, 9)))}"
    return selector("nv_inference_request_summary_us", scope.model, matcher)


def _triton_late(goal: Goal, scope: Scope) -> str:
    """Requests per second that were later than the limit, as far as the summary's quantiles tell."""
    shares = late_shares(goal.percentile)
    limit_us = number(goal.limit_s * 1e6)
    steps = " or ".join(
        f"({_quantile(share, scope)} > bool {limit_us}) * {number(step)}"
        for share, step in zip(shares, share_steps(shares), strict=True)
    )
    answered = selector("nv_inference_request_success", scope.model)
    return f"sum(sum without (quantile) ({steps}) * rate({answered}[{_RATE}]))"


def _vllm(served: Served, scope: Scope) -> Signals:
    def rate(metric: str, *matchers: str) -> str:
        return f"sum(rate({selector(metric, scope.model, *matchers)}[{_RATE}]))"

    def mean(metric: str) -> str:
        return f"{rate(f'{metric}_sum')} / ({rate(f'{metric}_count')} > 0)"

    goals = {goal.label: _HISTOGRAMS[goal.metric] for goal in served.goals}
    edges = {goal.label: f"le={string(bucket_edge(round(goal.limit_s, 6)))}" for goal in served.goals}
    http = {**scope.targets, "method": "POST"}
    served_paths = 'handler=~"/v1/.*"'
    by_edge = {
        goal.label: f"sum by (le) (rate({selector(f'{goals[goal.label]}_bucket', scope.model)}[5m]))"
        for goal in served.goals
    }
    return Signals(
        replicas=_replicas(scope),
        answered=rate("vllm:request_success_total", 'finished_reason!~"abort|error"'),
        # Refusals of a full queue (503) and errors (500) are answers of the API; probes are GET requests.
        failed=f"(sum(rate({selector('http_requests_total', http, served_paths, _IS_SERVER_ERROR)}[{_RATE}]))"
        " or vector(0))",
        judged={label: rate(f"{metric}_count") for label, metric in goals.items()},
        late={
            label: f"{rate(f'{metric}_count')} - {rate(f'{metric}_bucket', edges[label])}"
            for label, metric in goals.items()
        },
        backlog=" + ".join(
            f"sum(avg_over_time({selector(f'vllm:num_requests_{state}', scope.model)}[{_QUEUE}]))"
            for state in ("running", "waiting")
        ),
        queue_s=mean("vllm:request_queue_time_seconds"),
        compute_s=mean("vllm:request_inference_time_seconds"),
        batch=f"avg(avg_over_time({selector('vllm:num_requests_running', scope.model)}[{_RATE}]))",
        busy=f"avg(avg_over_time({selector('vllm:kv_cache_usage_perc', scope.model)}[{_RATE}]))",
        percentiles={
            goal.label: f"histogram_quantile({number(goal.percentile / 100.0)}, {by_edge[goal.label]})"
            for goal in served.goals
        },
        latency_series={
            label: selector(f"{metric}_bucket", scope.model, edges[label]) for label, metric in goals.items()
        },
    )


_IS_SERVER_ERROR = 'status="5xx"'
