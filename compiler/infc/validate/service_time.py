"""Measures service times of an engine on this machine: what `infc calibrate` stores for later plans."""

import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infc.diag import ToolError
from infc.ir.engine import Engine
from infc.ir.interval import Interval
from infc.ir.model_profile import ModelProfile
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.lower.arrays import Array
from infc.validate.gpu.watch import DeviceWatch
from infc.validate.instances import Instance
from infc.validate.statistics import percentile_interval

WARM_UP_EXECUTIONS = 3
WARM_UP_SHARE = 0.15
MIN_EXECUTIONS = 8
MAX_EXECUTIONS = 2000
CONFIDENCE = 0.90
SEED = 11
SAMPLED_S = 2.0
"""Shortest run of a sampled device: drivers average power over up to a second."""
SETTLED_WINDOW_S = 0.25
SETTLED_WITHIN = 0.02
"""Medians of successive windows that differ by no more than this share count as one speed."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What to measure: every batch size at every point of the axes (without batch), within `budget_s` seconds in all.

    `instances` sessions run at the same time, each with `threads` threads per operator (on a CPU), as instances of a
    server do. Up to `settle_s` of the budget are spent first on executions that do not count, until their time no
    longer changes: a GPU raises its clocks under load, and TensorRT-RTX finishes its kernels while it runs.
    """

    batch_sizes: tuple[int, ...]
    axes: tuple[Mapping[str, int], ...]
    threads: int
    instances: int
    budget_s: float
    settle_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Instances of one engine, ready to run, on a device that `watch` samples; `environment` names what runs there."""

    engine: Engine
    instances: Sequence[Instance]
    environment: Mapping[str, str]
    watch: DeviceWatch


def measure_service_times(
    bench: Bench, model: ModelProfile, sweep: Sweep, progress: Callable[[str], None]
) -> ServiceTimeProfile:
    """Median seconds per execution of every batch size and axes, with distribution-free bounds at 90%.

    Inputs are random floats and ones (a valid token and mask value everywhere). The time is the host's, from inputs in
    its memory to outputs in its memory: no server, no network. Where the device has a clock of its own, its time for
    the execution alone is kept, too.
    """
    names = [spec.name for spec in model.outputs]
    settled_s = _settle(bench.instances, names, _inputs(model, max(sweep.batch_sizes), sweep.axes[-1]), sweep.settle_s)
    share_s = (sweep.budget_s - settled_s) / (len(sweep.batch_sizes) * len(sweep.axes))
    points = []
    for axes in sweep.axes:
        for batch_size in sweep.batch_sizes:
            point = _point(bench, names, _inputs(model, batch_size, axes), share_s, batch_size, axes)
            points.append(point)
            where = "".join(f", {name} {size}" for name, size in axes.items())
            progress(
                f"batch {batch_size}{where}: {point.seconds.value * 1e3:.3g} ms over {point.executions} executions"
            )
    return ServiceTimeProfile(
        model_digest=model.digest,
        precision=bench.engine.precision,
        hardware_id=bench.engine.hardware_id,
        engine_kind=bench.engine.kind,
        instances=sweep.instances,
        points=tuple(points),
        environment=bench.environment,
        usage=bench.watch.usage(),
    )


def _point(
    bench: Bench,
    names: list[str],
    feeds: dict[str, Array],
    share_s: float,
    batch_size: int,
    axes: Mapping[str, int],
) -> ServiceTimePoint:
    host, device = _measured(bench, names, feeds, share_s)
    usage = bench.watch.last_span()
    return ServiceTimePoint(
        batch_size=batch_size,
        axes=dict(axes),
        seconds=_median(host),
        executions=len(host),
        device_s=_median(device) if len(device) else None,
        power_w=None if usage is None else usage.power_w,
    )


def _median(seconds: Array) -> Interval:
    return percentile_interval(np.sort(seconds), 50.0, CONFIDENCE)


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


def _settle(instances: Sequence[Instance], names: list[str], feeds: dict[str, Array], most_s: float) -> float:
    """Run until three windows in a row have the same median, at most `most_s`; returns the seconds that it took."""
    start = time.perf_counter()
    medians: list[float] = []
    while time.perf_counter() - start < most_s:
        window: list[float] = []
        end = time.perf_counter() + SETTLED_WINDOW_S
        while time.perf_counter() < end or not window:
            began = time.perf_counter()
            for instance in instances:
                instance.run(names, feeds)
            window.append(time.perf_counter() - began)
        medians.append(float(np.median(window)))
        if is_settled(medians):
            break
    return time.perf_counter() - start


def is_settled(medians: Sequence[float]) -> bool:
    """Whether the last three are one speed.

    >>> is_settled([2.0, 1.5, 1.01, 1.0, 1.01]), is_settled([1.0, 1.0])
    (True, False)
    """
    last = medians[-3:]
    return len(last) == 3 and max(last) <= (1.0 + SETTLED_WITHIN) * min(last)


def _measured(bench: Bench, names: list[str], feeds: dict[str, Array], share_s: float) -> tuple[Array, Array]:
    """Seconds of single executions, warm-up excluded, of all instances running at once: the host's, and the device's.

    What an instance raises is raised here.
    """
    start = time.perf_counter()
    for instance in bench.instances:
        for _ in range(WARM_UP_EXECUTIONS):
            instance.run(names, feeds)
    while time.perf_counter() - start < share_s * WARM_UP_SHARE:
        for instance in bench.instances:
            instance.run(names, feeds)
    now = time.perf_counter()
    end = now + share_s * (1.0 - WARM_UP_SHARE)
    sampled_until = min(now + SAMPLED_S, end) if bench.watch.sampler is not None else now
    runs = [_Repeated(instance, names, feeds, end, sampled_until) for instance in bench.instances]
    with bench.watch.span():
        for run in runs:
            run.thread.start()
        for run in runs:
            run.thread.join()
    failure = next((run.failure for run in runs if run.failure is not None), None)
    if failure is not None:
        raise failure
    host = np.array([seconds for run in runs for seconds in run.host_s], dtype=np.float64)
    return host, np.array([seconds for run in runs for seconds in run.device_s], dtype=np.float64)


class _Repeated:
    """One instance in a thread of its own, busy without a pause until `end`.

    It stops before when it has run often enough, but not before `sampled_until`.
    """

    def __init__(
        self, instance: Instance, names: list[str], feeds: dict[str, Array], end: float, sampled_until: float
    ) -> None:
        self._instance, self._names, self._feeds = instance, names, feeds
        self._end, self._sampled_until = end, sampled_until
        self.host_s: list[float] = []
        self.device_s: list[float] = []
        self.failure: ToolError | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while self._goes_on(start := time.perf_counter()):
                self._instance.run(self._names, self._feeds)
                self.host_s.append(time.perf_counter() - start)
                if self._instance.device_s is not None:
                    self.device_s.append(self._instance.device_s)
        except ToolError as error:
            self.failure = error

    def _goes_on(self, now: float) -> bool:
        runs = len(self.host_s)
        return runs < MIN_EXECUTIONS or (now < self._end and (runs < MAX_EXECUTIONS or now < self._sampled_until))
