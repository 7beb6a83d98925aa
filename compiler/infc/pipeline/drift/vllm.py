"""Drift of a running vLLM: what agrees with its lock entry and spec, what does not, what cannot be seen."""

import time
from collections.abc import Callable
from dataclasses import replace

from infc.diag import ToolError
from infc.ir.problem import LlmProblem
from infc.lock import LockEntry
from infc.lock.drift import (
    DriftReport,
    Window,
    deployment_items,
    objective_items,
    prediction_items,
    workload_items,
)
from infc.lock.drift.item import lock_item
from infc.pipeline.drift.locked import Deployed
from infc.pipeline.drift.observed import plan_for_observed, still_fits
from infc.serve.prometheus import Metrics
from infc.serve.vllm_view import VllmView, read_metrics, view_vllm

_READINGS = 30
_MIN_PAUSE_S = 0.5


def vllm_drift(
    deployed: Deployed[LlmProblem], endpoint: str, window_s: float | None, *, announce: Callable[[str], None]
) -> DriftReport:
    """Compare a running vLLM with its deployment. Nothing is written, and nothing is changed.

    Raises:
        ToolError: the server does not answer, is no vLLM, or restarted meanwhile.
    """
    view, window = observe(endpoint, window_s, announce=announce)
    report = compare(deployed, view, window)
    if still_fits(report):
        return report
    announce("planning for the observed workload")
    return replace(report, plan=plan_for_observed(deployed, window))


def observe(url: str, window_s: float | None, *, announce: Callable[[str], None]) -> tuple[VllmView, Window]:
    """Look at a server, once or over a window with a reading each second or so.

    Raises:
        ToolError: the server does not answer, is no vLLM, or restarted meanwhile.
    """
    view = view_vllm(url)
    if window_s is None:
        started = view.metrics.total("process_start_time_seconds")
        duration_s = None if started is None else max(0.0, time.time() - started)
        running = max(view.metrics.values("vllm:num_requests_running"), default=0.0)
        return view, Window(first=None, last=view.metrics, duration_s=duration_s or None, running=(running,))
    announce(f"watching {view.url} for {window_s:g} s")
    begin = time.monotonic()
    readings = [view.metrics]
    pause_s = max(_MIN_PAUSE_S, window_s / _READINGS)
    while (passed_s := time.monotonic() - begin) < window_s:
        time.sleep(min(pause_s, window_s - passed_s))
        readings.append(read_metrics(url))
    duration_s = time.monotonic() - begin
    first, last = readings[0], readings[-1]
    _check_same_server(first, last)
    return view, Window(
        first=first,
        last=last,
        duration_s=duration_s,
        usage=tuple(max(each.values("vllm:kv_cache_usage_perc"), default=0.0) for each in readings),
        running=tuple(max(each.values("vllm:num_requests_running"), default=0.0) for each in readings),
    )


def compare(deployed: Deployed[LlmProblem], view: VllmView, window: Window) -> DriftReport:
    """Every comparison of one server with its deployment; pure."""
    entry, problem = deployed.entry, deployed.problem
    lengths = window.last.histogram("vllm:request_generation_tokens")
    earlier = window.first.histogram("vllm:request_generation_tokens") if window.first is not None else None
    version = view.facts.get("version")
    return DriftReport(
        name=entry.name,
        target=entry.target,
        spec=deployed.loaded.path.as_posix(),
        endpoint=view.url,
        server=f"vLLM {version.value}" if version else "vLLM",
        requests=int((lengths.count if lengths else 0) - (earlier.count if earlier else 0)),
        duration_s=window.duration_s,
        is_since_start=window.first is None,
        items=(
            lock_item(deployed.stale),
            *deployment_items(entry, problem.source.served_name, view, window),
            *workload_items(problem, entry, window),
            *prediction_items(problem, entry.predicted, window),
        ),
        objectives=objective_items(problem, entry.predicted, window),
        notes=tuple(_notes(entry, window)),
    )


def _notes(entry: LockEntry, window: Window) -> list[str]:
    notes = ["latencies are those that the server itself counts: the network to its clients is not in them"]
    if entry.choice.replicas > 1:
        notes.append(
            f"one server was asked; the lock has {entry.choice.replicas} replicas, which are to share the load"
        )
    if window.first is None:
        notes.append("since the server started, warm-up and idle times included")
    return notes


def _check_same_server(first: Metrics, last: Metrics) -> None:
    """Two readings must be of one process.

    Raises:
        ToolError: they are not.
    """
    before, after = (each.total("process_start_time_seconds") for each in (first, last))
    if before != after:
        raise ToolError(
            "two readings are of two processes: the server restarted, or another replica answered",
            help="give the address of one server, not of a load balancer over several",
        )
