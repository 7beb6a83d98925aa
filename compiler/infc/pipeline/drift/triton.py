"""Drift of a running Triton: what agrees with its lock entry and spec, what does not, what cannot be seen."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import Diagnostic, ToolError
from infc.emit.release import release_named
from infc.emit.triton.config import model_config
from infc.emit.triton.settings import candidate_settings
from infc.ir.engine import PendingEngine
from infc.ir.engine_kind import EngineKind
from infc.ir.problem import Problem
from infc.lock import LockEntry
from infc.lock.drift import DriftItem, DriftReport
from infc.lock.drift.item import lock_item
from infc.lock.drift.triton import (
    REPOSITORY,
    ExpectedServer,
    bundled_engine_item,
    repository_items,
    server_items,
)
from infc.lock.drift.triton_config import ExpectedConfig, config_from_text
from infc.lock.drift.triton_load import (
    PredictedLoad,
    triton_objective_items,
    triton_prediction_items,
    triton_workload_items,
)
from infc.lock.drift.triton_window import TritonReading, TritonWindow
from infc.pipeline.drift.bundle import LockedBundle, digests_in
from infc.pipeline.drift.locked import Deployed
from infc.pipeline.drift.observed import planned_for, still_fits, with_peak
from infc.serve.statistics import ModelStatistics
from infc.serve.triton_view import TritonView, again, view_triton

_READINGS = 30
_MIN_PAUSE_S = 0.1
_NO_REQUESTS = ModelStatistics(
    requests=0, failures=0, queue_s=0.0, compute_input_s=0.0, compute_s=0.0, compute_output_s=0.0, batches=()
)
_BY_BUILDER = ("parameters", "optimization")
"""Parts of a configuration that follow from what the builder of an engine said."""


@dataclass(frozen=True, kw_only=True)
class TritonPlace:
    """Where a Triton is, and what of it can be read besides. `window_s` None: one look."""

    endpoint: str
    window_s: float | None
    metrics: str | None = None
    repository: Path | None = None


def triton_drift(
    deployed: Deployed[Problem],
    predicted: PredictedLoad | None,
    bundle: LockedBundle | None,
    place: TritonPlace,
    *,
    announce: Callable[[str], None],
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    """Compare a running Triton with its deployment. Nothing is written, and nothing is changed.

    Raises:
        ToolError: the server does not answer, is no Triton, or the model was loaded again meanwhile.
    """
    expected, problems = expected_server(deployed, bundle)
    if expected is None:
        return None, problems
    files = None if place.repository is None else read_repository(place.repository)
    view, window = observe(deployed.entry, place, announce=announce, beside=tuple(expected.beside))
    report = compare(deployed, expected, predicted, view, window)
    if files is not None and place.repository is not None:
        items = tuple(_files(expected, bundle, files, place.repository))
        report = replace(report, items=(*report.items, *items))
    if still_fits(report) or not window.duration_s:
        return report, ()
    announce("planning for the observed workload")
    counted = window.counted
    rate_rps = (counted.requests + counted.failures) / window.duration_s * deployed.entry.choice.replicas
    peak_rps = max(deployed.problem.traffic.peak_rps, rate_rps)
    return replace(report, plan=planned_for(deployed, with_peak(deployed.problem.traffic, peak_rps))), ()


def expected_server(
    deployed: Deployed[Problem], bundle: LockedBundle | None
) -> tuple[ExpectedServer | None, tuple[Diagnostic, ...]]:
    """What a replica is to be: from the bundle's own configuration, else made again from what is locked."""
    entry = deployed.entry
    name = entry.inputs.toolchain.rpartition("triton ")[2]
    release = release_named(name)
    text = None if bundle is None else bundle.read(f"{REPOSITORY}/{entry.name}/config.pbtxt")
    if text is not None:
        config = ExpectedConfig(config=config_from_text(text.decode()))
    else:
        made, problems = _config_again(deployed)
        if made is None:
            return None, problems
        config = made
    version = None if release is None else release.server_version
    expected = ExpectedServer(entry=entry, release=name, server_version=version, config=config)
    return replace(expected, beside=_beside(expected, bundle)), ()


def _beside(expected: ExpectedServer, bundle: LockedBundle | None) -> dict[str, ExpectedConfig]:
    """The configurations of the repository's other models, from the bundle."""
    found = {}
    for model in expected.models:
        text = None if bundle is None else bundle.read(f"{REPOSITORY}/{model}/config.pbtxt")
        if text is not None and model != expected.entry.name:
            found[model] = ExpectedConfig(config=config_from_text(text.decode()))
    return found


def _config_again(deployed: Deployed[Problem]) -> tuple[ExpectedConfig | None, tuple[Diagnostic, ...]]:
    """The configuration from the lock's choice and the model's profile. What a builder said is not in the lock."""
    entry = deployed.entry
    assert entry.engine.kind != "checkpoint"  # noqa: S101 - the model is an ONNX file
    kind: EngineKind = entry.engine.kind
    engine = PendingEngine(
        kind=kind,
        key=entry.engine.key or "",
        precision=entry.choice.precision,
        hardware_id=entry.choice.hardware,
        reason="",
    )
    settings, problems = candidate_settings(deployed.problem, entry.choice.candidate(), engine)
    if settings is None:
        return None, problems
    is_whole = kind in ("tensorrt", "tensorrt_rtx")
    return ExpectedConfig(config=model_config(settings), unknown=() if is_whole else _BY_BUILDER), ()


def observe(
    entry: LockEntry, place: TritonPlace, *, announce: Callable[[str], None], beside: tuple[str, ...] = ()
) -> tuple[TritonView, TritonWindow]:
    """Look at a server, once or over a window with a reading each second or so; at the models `beside` it once.

    Raises:
        ToolError: the server does not answer, or is no Triton.
    """
    metrics = None if place.metrics is None else place.metrics.rstrip("/").removesuffix("/metrics")
    view = view_triton(place.endpoint, entry.name, beside=beside, metrics_url=metrics)
    begin = time.monotonic()
    readings = [_reading(view, 0.0)]
    if place.window_s is not None and view.statistics is not None:
        announce(f"watching {view.url} for {place.window_s:g} s")
        pause_s = max(_MIN_PAUSE_S, place.window_s / _READINGS)
        while (passed_s := time.monotonic() - begin) < place.window_s:
            time.sleep(min(pause_s, place.window_s - passed_s))
            view = again(view, entry.name)
            readings.append(_reading(view, time.monotonic() - begin))
    return view, TritonWindow(readings=tuple(readings))


def _reading(view: TritonView, at_s: float) -> TritonReading:
    return TritonReading(at_s=at_s, statistics=view.statistics or _NO_REQUESTS, metrics=view.metrics)


def compare(
    deployed: Deployed[Problem],
    expected: ExpectedServer,
    predicted: PredictedLoad | None,
    view: TritonView,
    window: TritonWindow,
) -> DriftReport:
    """Every comparison of one server with its deployment; pure."""
    entry, problem = deployed.entry, deployed.problem
    return DriftReport(
        name=entry.name,
        target=entry.target,
        spec=deployed.loaded.path.as_posix(),
        endpoint=view.url,
        server=f"Triton {view.version}" if view.version else "Triton",
        requests=window.counted.requests,
        duration_s=window.duration_s,
        is_since_start=window.is_since_start,
        items=(
            lock_item(deployed.stale),
            *server_items(expected, view),
            *triton_workload_items(problem, entry, window),
            *triton_prediction_items(problem, entry, predicted, window),
        ),
        objectives=triton_objective_items(problem, entry, window),
        notes=tuple(_notes(entry, predicted, view, window)),
    )


def _files(
    expected: ExpectedServer, bundle: LockedBundle | None, found: dict[str, str], where: Path
) -> Iterator[DriftItem]:
    """The repository's files; an engine whose bytes the lock cannot hold is compared with the bundle's, if at hand."""
    bundled = None if bundle is None else bundle.engine_digest
    engine = (expected.entry.engine.file or "").removeprefix(f"{REPOSITORY}/")
    for item in repository_items(expected, found, where.as_posix()):
        is_open = item.id == "engine-file" and item.expected is None and bundled is not None
        yield bundled_engine_item(engine, bundled or "", found.get(engine), where.as_posix()) if is_open else item


def read_repository(folder: Path) -> dict[str, str]:
    """Digests of the files of a served model repository.

    Raises:
        ToolError: it cannot be read.
    """
    try:
        if not folder.is_dir():
            raise ToolError(f"the model repository {folder} is not a folder", help="name the folder that Triton serves")
        return digests_in(folder)
    except OSError as error:
        raise ToolError(f"the model repository {folder} cannot be read: {error.strerror or error}") from error


def _notes(entry: LockEntry, predicted: PredictedLoad | None, view: TritonView, window: TritonWindow) -> Iterator[str]:
    yield "latencies are those that the server itself counts: the network to its clients is not in them"
    if entry.choice.replicas > 1:
        yield f"one server was asked; the lock has {entry.choice.replicas} replicas, which are to share the load"
    if window.is_since_start and view.statistics is not None:
        yield "since the model was loaded, warm-up included"
    if window.counted.executions:
        yield _batches(predicted, window.counted)
    if predicted is None:
        yield "the locked prediction cannot be divided: its device or its service times are not known any more"
    elif not predicted.is_locked:
        yield "the parts of the prediction are of a newer infc or other measurements than the locked latency"
    if "/metrics" in view.silent:
        yield f"no metrics at {view.metrics_url} ({view.silent['/metrics']}): name them with --metrics"


def _batches(predicted: PredictedLoad | None, counted: ModelStatistics) -> str:
    """`batches of 1 (90%) and 2 (10%), 1.1 on average; 1.3 predicted at the peak`: no drift by itself."""
    shares = [f"{each.batch_size} ({each.executions / counted.executions:.0%})" for each in counted.batches]
    known = "" if predicted is None else f"; {predicted.mean_batch_size:.3g} predicted at the peak"
    return f"batches of {', '.join(shares)}: {counted.mean_batch_size:.3g} on average{known}"
