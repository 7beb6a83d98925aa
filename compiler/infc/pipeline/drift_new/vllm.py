"""Drift, end to end: a spec, its lock and a running server in; what agrees, what does not, what cannot be seen out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import Diagnostic, ToolError, has_errors
from infc.ir.plan import Decision, Infeasible
from infc.ir.problem import LlmProblem
from infc.lock import Lock, LockEntry, read_lock
from infc.lock.drift import (
    DriftItem,
    DriftReport,
    DriftVerdict,
    ObservedPlan,
    Window,
    deployment_items,
    objective_items,
    observed_peak_rps,
    observed_tokens,
    prediction_items,
    workload_items,
)
from infc.pipeline.locking import check_lock, problem_of, shown_path
from infc.pipeline.plan import locked_digest_from, resolve_loaded, spec_path_in_workspace
from infc.plan import solve
from infc.resolve.problem import Resolved
from infc.resolve.targets import Catalogue
from infc.serve.prometheus import Metrics
from infc.serve.vllm_view import VllmView, read_metrics, view_vllm
from infc.spec import LoadedSpec, load_spec

_READINGS = 30
_MIN_PAUSE_S = 0.5
_LENGTHS = ("prompt-tokens-", "output-tokens-")


@dataclass(frozen=True, kw_only=True)
class DriftRequest:
    """What to compare. `target` names one of several locked deployments; `window_s` None: since the server started."""

    spec: Path
    endpoint: str
    target: str | None = None
    window_s: float | None = 30.0


@dataclass(frozen=True, kw_only=True)
class LockedSpec:
    """A spec, and the deployments of it that the lock holds."""

    loaded: LoadedSpec
    lock: Lock
    entries: tuple[LockEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """One locked deployment with the problem that its spec states now. `stale` names the inputs that changed since."""

    loaded: LoadedSpec
    entry: LockEntry
    problem: LlmProblem
    stale: tuple[str, ...]


def find_drift(
    request: DriftRequest, *, announce: Callable[[str], None]
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    """Compare a running server with what is locked and expected of it. Nothing is written, and nothing is changed.

    Raises:
        ToolError: the server does not answer, is no vLLM, or restarted meanwhile.
    """
    deployed, problems = find_deployed(request.spec, request.target)
    if deployed is None:
        return None, problems
    view, window = observe(request.endpoint, request.window_s, announce=announce)
    report = compare(deployed, view, window)
    if _fits(report):
        return report, ()
    announce("planning for the observed workload")
    return replace(report, plan=plan_for_observed(deployed, window)), ()


def find_deployed(spec: Path, target: str | None) -> tuple[Deployed | None, tuple[Diagnostic, ...]]:
    """The lock entry of a spec and the problem behind it, or what is wrong with either."""
    opened, problems = open_locked(spec)
    if opened is None:
        return None, problems
    loaded = opened.loaded
    entry, problems = _entry_of(loaded, opened.entries, target)
    if entry is None:
        return None, problems
    if entry.choice.server != "vllm":
        return None, (_not_vllm(loaded, entry),)
    resolved, problems = resolve_locked(opened)
    if resolved is None:
        return None, problems
    problem = problem_of(resolved, entry)
    if not isinstance(problem, LlmProblem):
        return None, (_not_vllm(loaded, entry),)
    return Deployed(loaded=loaded, entry=entry, problem=problem, stale=stale_inputs(opened, entry)), ()


def open_locked(spec: Path) -> tuple[LockedSpec | None, tuple[Diagnostic, ...]]:
    """A spec with what the lock holds of it, or what is wrong with either."""
    loaded = load_spec(spec)
    if loaded.spec is None:
        return None, loaded.diagnostics
    lock, problems = read_lock(shown_path(loaded.workspace.lock))
    if lock is None:
        return None, problems
    return LockedSpec(loaded=loaded, lock=lock, entries=lock.of_spec(spec_path_in_workspace(loaded))), ()


def resolve_locked(opened: LockedSpec) -> tuple[Resolved | None, tuple[Diagnostic, ...]]:
    """What the spec states now, with the model as it was locked; else the errors."""
    catalogues: dict[Path | None, Catalogue] = {}
    digest = locked_digest_from(opened.lock)
    resolved, _, found = resolve_loaded(opened.loaded, catalogues, locked_digest=digest)
    return resolved, () if resolved is not None else tuple(each for each in found if has_errors((each,)))


def stale_inputs(opened: LockedSpec, entry: LockEntry) -> tuple[str, ...]:
    """Names of the inputs of an entry that changed since it was locked."""
    statuses = check_lock(opened.loaded.workspace, (opened.loaded.path,)).statuses
    return next((s.inputs for s in statuses if s.target == entry.target and s.status == "stale"), ())


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


def compare(deployed: Deployed, view: VllmView, window: Window) -> DriftReport:
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
            _lock_item(deployed),
            *deployment_items(entry, problem.source.served_name, view, window),
            *workload_items(problem, entry, window),
            *prediction_items(problem, entry.predicted, window),
        ),
        objectives=objective_items(problem, entry.predicted, window),
        notes=tuple(_notes(entry, window)),
    )


def plan_for_observed(deployed: Deployed, window: Window) -> ObservedPlan:
    """What would be planned if the observed lengths and rate were the spec's."""
    problem, entry = deployed.problem, deployed.entry
    peak_rps = max(problem.traffic.peak_rps, observed_peak_rps(entry, window) or 0.0)
    growth = peak_rps / problem.traffic.peak_rps
    traffic = replace(problem.traffic, peak_rps=peak_rps, rate_rps=problem.traffic.rate_rps * growth)
    tokens = observed_tokens(problem.tokens, window)
    decision = solve(replace(problem, traffic=traffic, tokens=tokens, alternatives=()))
    locked = entry.choice.candidate()
    workload = {
        "peak": f"{peak_rps:.4g}/s",
        "prompt_tokens": _lengths_words(tokens.prompt.percentiles, tokens.prompt.maximum),
        "output_tokens": _lengths_words(tokens.output.percentiles, tokens.output.maximum),
    }
    if problem.tokens.shared_prefix:
        workload["shared_prefix"] = f"{tokens.shared_prefix:.0%}"
    candidate, choice, replicas, cost = _decided(decision)
    return ObservedPlan(
        workload=workload,
        candidate=candidate,
        choice=choice,
        replicas=replicas,
        usd_per_month=cost,
        locked_candidate=locked.label,
        locked_replicas=locked.replicas,
        locked_usd_per_month=entry.predicted.usd_per_month,
    )


def _decided(decision: Decision) -> tuple[str | None, str, int | None, float | None]:
    if isinstance(decision, Infeasible):
        binding = ", ".join(decision.binding) or "no candidate is left"
        return None, f"nothing allowed meets the SLO under it ({binding})", None, None
    cost = decision.estimate.cost.usd_per_month if decision.estimate.cost else None
    return decision.candidate.label, decision.reasons[0] if decision.reasons else "", decision.candidate.replicas, cost


def _lengths_words(percentiles: Mapping[float, int], maximum: int) -> str:
    return ", ".join([*(f"p{p:g}: {size}" for p, size in sorted(percentiles.items())), f"max: {maximum}"])


def _fits(report: DriftReport) -> bool:
    """Whether lengths and rate are still those that the plan was made for."""
    ids = [item.id for item in report.drifted]
    return not any(id.startswith(_LENGTHS) or id in ("arrival-rate", "shared-prefix") for id in ids)


def _lock_item(deployed: Deployed) -> DriftItem:
    """Whether the lock still is of the spec: else what runs is compared with an older spec's plan."""
    return DriftItem(
        id="lock",
        area="deployment",
        name="infc.lock",
        expected="of this spec",
        observed=f"stale: {', '.join(deployed.stale)} changed" if deployed.stale else "of this spec",
        verdict=DriftVerdict.DRIFTED if deployed.stale else DriftVerdict.SAME,
        source="infc.lock",
        note="compile and deploy again" if deployed.stale else "",
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


def _entry_of(
    loaded: LoadedSpec, entries: Sequence[LockEntry], target: str | None
) -> tuple[LockEntry | None, tuple[Diagnostic, ...]]:
    found = [entry for entry in entries if target is None or entry.target == target]
    if len(found) == 1:
        return found[0], ()
    known = ", ".join(entry.target for entry in entries)
    label = f"{loaded.name} @ {target}" if target else loaded.name
    if found:
        message, help = f"{loaded.name} is locked for several targets", f"name one with --target: {known}"
        return None, (Diagnostic(id="drift-target", message=message, help=help),)
    return None, (not_locked(loaded, label, known),)


def not_locked(loaded: LoadedSpec, label: str, known: str) -> Diagnostic:
    """The diagnostic that the lock does not hold a deployment; `known` are the targets that it holds."""
    return Diagnostic(
        id="lock-missing",
        message=f"infc.lock holds no deployment {label}",
        notes=(f"it holds the targets {known}",) if known else (),
        help=f"run `infc compile {loaded.path.as_posix()}` and commit infc.lock",
    )


def _not_vllm(loaded: LoadedSpec, entry: LockEntry) -> Diagnostic:
    if entry.choice.server == "jetson":
        return Diagnostic(
            id="drift-server",
            message=f"{entry.label} runs on edge devices, which are asked over ssh",
            span=loaded.span("deploy"),
            help=f"name them: infc drift {loaded.path.as_posix()} ssh://DEVICE",
        )
    return Diagnostic(
        id="drift-server",
        message=f"{entry.label} is served by {entry.choice.server}, and drift is read from vLLM only",
        span=loaded.span("model"),
        help="test it with `infc validate`, and its lock with `infc lock --check`",
    )


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
