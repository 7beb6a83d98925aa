"""Measures service times of an ONNX Runtime engine on this machine: what `infc calibrate` stores for later plans."""

import platform
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infc.build import onnxruntime_settings
from infc.ir.engine import Engine
from infc.ir.model_profile import ModelProfile
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.lower.arrays import Array
from infc.validate.accuracy.inference import Session, open_session
from infc.validate.statistics import percentile_interval

WARM_UP_EXECUTIONS = 3
WARM_UP_SHARE = 0.15
MIN_EXECUTIONS = 8
MAX_EXECUTIONS = 2000
CONFIDENCE = 0.90
SEED = 11


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What to measure: every batch size at every point of the axes (without batch), within `budget_s` seconds in all.

    `instances` sessions run at the same time, each with `threads` threads per operator, as instances of a server do.
    """

    batch_sizes: tuple[int, ...]
    axes: tuple[Mapping[str, int], ...]
    threads: int
    instances: int
    budget_s: float


def measure_service_times(
    engine: Engine, model: ModelProfile, sweep: Sweep, progress: Callable[[str], None]
) -> ServiceTimeProfile:
    """Median seconds per execution of every batch size and axes, with distribution-free bounds at 90%.

    Inputs are random floats and ones (a valid token and mask value everywhere). The time is that of the session
    alone: no server, no network.
    """
    has_rewrites = onnxruntime_settings(engine).has_rewrites
    sessions = [
        open_session(engine.path, has_rewrites=has_rewrites, threads=sweep.threads) for _ in range(sweep.instances)
    ]
    share_s = sweep.budget_s / (len(sweep.batch_sizes) * len(sweep.axes))
    points = []
    for axes in sweep.axes:
        for batch_size in sweep.batch_sizes:
            feeds = _inputs(model, batch_size, axes)
            seconds = _measured(sessions, [spec.name for spec in model.outputs], feeds, share_s)
            interval = percentile_interval(np.sort(seconds), 50.0, CONFIDENCE)
            points.append(
                ServiceTimePoint(batch_size=batch_size, axes=dict(axes), seconds=interval, executions=len(seconds))
            )
            where = "".join(f", {name} {size}" for name, size in axes.items())
            progress(f"batch {batch_size}{where}: {interval.value * 1e3:.3g} ms over {len(seconds)} executions")
    return ServiceTimeProfile(
        model_digest=model.digest,
        precision=engine.precision,
        hardware_id=engine.hardware_id,
        engine_kind=engine.kind,
        instances=sweep.instances,
        points=tuple(points),
        environment={
            **engine.facts.toolchain,
            "device": processor_name(),
            "recipe": engine.recipe_digest[:12],
            "threads": str(sweep.threads),
        },
    )


def processor_name() -> str:
    """The processor's model name, where the system tells it; else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _inputs(model: ModelProfile, batch_size: int, axes: Mapping[str, int]) -> dict[str, Array]:
    random = np.random.default_rng(SEED)
    feeds: dict[str, Array] = {}
    for spec in model.inputs:
        shape = [
            dim if isinstance(dim, int) else batch_size if dim == model.batch_axis else axes[dim] for dim in spec.shape
        ]
        dtype = np.dtype(spec.dtype)
        feeds[spec.name] = random.normal(size=shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype=dtype)
    return feeds


def _measured(sessions: list[Session], names: list[str], feeds: dict[str, Array], share_s: float) -> Array:
    """Seconds of single executions, warm-up excluded, of all sessions running at once."""
    start = time.perf_counter()
    for session in sessions:
        for _ in range(WARM_UP_EXECUTIONS):
            session.run(names, feeds)
    while time.perf_counter() - start < share_s * WARM_UP_SHARE:
        for session in sessions:
            session.run(names, feeds)
    results: list[list[float]] = [[] for _ in sessions]
    end = time.perf_counter() + share_s * (1.0 - WARM_UP_SHARE)
    threads = [
        threading.Thread(target=_repeat, args=(session, names, feeds, end, seconds), daemon=True)
        for session, seconds in zip(sessions, results, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array([value for seconds in results for value in seconds], dtype=np.float64)


def _repeat(session: Session, names: list[str], feeds: dict[str, Array], end: float, seconds: list[float]) -> None:
    while len(seconds) < MIN_EXECUTIONS or (time.perf_counter() < end and len(seconds) < MAX_EXECUTIONS):
        start = time.perf_counter()
        session.run(names, feeds)
        seconds.append(time.perf_counter() - start)
