"""Drift of a running server: which deployment is meant, what serves it, and the comparison for that."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic
from infc.ir.problem import AnyProblem, LlmProblem, Problem
from infc.lock import LockEntry
from infc.lock.drift import DriftReport
from infc.pipeline.drift.bundle import find_bundle
from infc.pipeline.drift.locked import Deployed, LockedSpec, open_entry, resolve_locked, stale_inputs
from infc.pipeline.locking import problem_of


@dataclass(frozen=True, kw_only=True)
class ServerDriftRequest:
    """What to compare. `target` names one of several locked deployments; `window_s` None: since the server started.

    `metrics`, `repository` and `bundle` are for Triton: the address of its metrics, the model repository that it
    serves, where that can be read, and the folder of the compiled bundle.
    """

    spec: Path
    endpoint: str
    target: str | None = None
    window_s: float | None = 30.0
    metrics: str | None = None
    repository: Path | None = None
    bundle: Path | None = None


def server_drift(
    request: ServerDriftRequest, *, announce: Callable[[str], None]
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    """Compare a running server with what is locked and expected of it. Nothing is written, and nothing is changed.

    Raises:
        ToolError: the server does not answer, is of another kind, or restarted meanwhile.
    """
    locked, problems = open_entry(request.spec, request.target)
    if locked is None:
        return None, problems
    opened, entry = locked
    problem, problems = _problem(opened, entry)
    if problem is None:
        return None, problems
    stale = stale_inputs(opened, entry)
    if isinstance(problem, LlmProblem) and entry.choice.server == "vllm":
        if request.metrics or request.repository or request.bundle:
            return None, (_not_triton(entry),)
        from infc.pipeline.drift.vllm import vllm_drift

        llm = Deployed(loaded=opened.loaded, entry=entry, problem=problem, stale=stale)
        return vllm_drift(llm, request.endpoint, request.window_s, announce=announce), ()
    if isinstance(problem, Problem) and entry.choice.server == "triton":
        return _triton(
            opened, Deployed(loaded=opened.loaded, entry=entry, problem=problem, stale=stale), request, announce
        )
    return None, (_not_a_server(opened, entry),)


def _triton(
    opened: LockedSpec, deployed: Deployed[Problem], request: ServerDriftRequest, announce: Callable[[str], None]
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    from infc.pipeline.drift.prediction import predicted_load
    from infc.pipeline.drift.triton import TritonPlace, triton_drift

    entry = deployed.entry
    bundle, problems = find_bundle(entry, request.bundle)
    if problems:
        return None, problems
    known, _ = _problem(opened, entry, only_measurements=frozenset(entry.inputs.profiles))
    predicted = predicted_load(known, entry) if isinstance(known, Problem) else None
    place = TritonPlace(
        endpoint=request.endpoint,
        window_s=request.window_s,
        metrics=request.metrics,
        repository=request.repository,
    )
    return triton_drift(deployed, predicted, bundle, place, announce=announce)


def _problem(
    opened: LockedSpec, entry: LockEntry, only_measurements: frozenset[str] | None = None
) -> tuple[AnyProblem | None, tuple[Diagnostic, ...]]:
    resolved, problems = resolve_locked(opened, only_measurements)
    return (None, problems) if resolved is None else (problem_of(resolved, entry), ())


def _not_a_server(opened: LockedSpec, entry: LockEntry) -> Diagnostic:
    loaded = opened.loaded
    return Diagnostic(
        id="drift-server",
        message=f"{entry.label} runs on edge devices, which are asked over ssh",
        span=loaded.span("deploy"),
        help=f"name them: infc drift {loaded.path.as_posix()} ssh://DEVICE",
    )


def _not_triton(entry: LockEntry) -> Diagnostic:
    return Diagnostic(
        id="drift-server",
        message=f"{entry.label} is served by vLLM, which shows everything at one address and takes no repository",
        help="leave --metrics, --repository and --bundle out",
    )
