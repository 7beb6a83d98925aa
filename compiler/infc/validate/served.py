"""Service times as Triton itself counts them: a bundle on its real server, batches of every planned size."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infc.diag import Diagnostic, ToolError
from infc.ir.service_time import ServiceTimeProfile
from infc.serve.statistics import ModelStatistics
from infc.validate.contract import SAMPLES_NAME, ValidationContract
from infc.validate.gpu.device import GpuDevice
from infc.validate.gpu.watch import DeviceWatch, watch_device
from infc.validate.load.closed_loop import ClosedLoop
from infc.validate.load.layers import service_time_points
from infc.validate.load.requests import request_messages
from infc.validate.load.server import ObservedServer
from infc.validate.realtime import SERVER_PRIORITY
from infc.validate.session import ValidationRequest, environment_of, read_contract, serving, wants_realtime

WARM_UP_SHARE = 0.15
WINDOW_S = 0.5
"""Time between two looks at the server's counters; they wait for answers, so shorter ones would be ragged."""


def measure_served(
    request: ValidationRequest,
    batch_sizes: tuple[int, ...],
    device: GpuDevice | None,
    progress: Callable[[str], None],
) -> ServiceTimeProfile:
    """Seconds of compute input, infer and output of every batch size that formed, with all instances busy.

    `request` says which bundle, at which server, and for how long (`settings.budget_s`). Requests carry one row each,
    as clients send them, so the server's cost of joining and splitting them is in the times. `device` is this
    machine's GPU, which is sampled meanwhile; None where there is none or the server is elsewhere.

    Raises:
        ToolError: the bundle cannot be served here, the server fails, or no batch ran often enough.
    """
    contract = read_contract(request.bundle)
    samples = request.bundle / SAMPLES_NAME
    messages = request_messages(
        contract.model,
        contract.traffic.axes,
        samples=samples if samples.is_file() else None,
        sizes="padded",
        seed=request.settings.seed,
    )
    is_realtime = wants_realtime(request)
    with (
        serving(request, contract, SERVER_PRIORITY if is_realtime else None, progress) as under_test,
        _watched(device if request.endpoint is None else None) as watch,
    ):
        server = ObservedServer(under_test.target)
        try:
            version = server.version(contract.model.name)
            server.check_answer(messages[0])
            with ClosedLoop(under_test.target, messages) as loop:
                snapshots = _swept(
                    contract, server, loop, batch_sizes, request.settings.budget_s, watch, under_test.check
                )
        finally:
            server.close()
        usage = watch.usage()
    points = service_time_points(snapshots, {name: axis.maximum for name, axis in contract.traffic.axes.items()})
    if not points:
        raise ToolError("no batch ran often enough to tell its service time", help="give more time: --budget 60s")
    for point in points:
        progress(f"batch {point.batch_size}: {point.seconds.value * 1e3:.3g} ms over {point.executions} executions")
    model = contract.model
    environment = {"server": version, **environment_of(request, contract, is_realtime=is_realtime)}
    if device is not None and request.endpoint is None:
        environment["device"] = device.name
    return ServiceTimeProfile(
        model_digest=model.digest,
        precision=model.precision,
        hardware_id=model.hardware_id,
        engine_kind=model.engine_kind,
        instances=model.instances,
        points=points,
        environment=environment,
        usage=usage,
        load_s=under_test.load_s,
    )


def _swept(
    contract: ValidationContract,
    server: ObservedServer,
    loop: ClosedLoop,
    batch_sizes: tuple[int, ...],
    budget_s: float,
    watch: DeviceWatch,
    check: Callable[[], None],
) -> list[ModelStatistics]:
    """Counters at successive moments while batches of each size form; the warm-up is before the first."""
    name = contract.model.name
    largest = max(contract.model.max_batch_size, 1)
    sizes = sorted({min(size, largest) for size in batch_sizes})
    share_s = budget_s * (1.0 - WARM_UP_SHARE) / len(sizes)
    loop.hold(_outstanding(contract, sizes[-1]))
    _wait(budget_s * WARM_UP_SHARE, loop, check)
    snapshots = [server.statistics(name)]
    for size in sizes:
        with watch.span():
            loop.drain()
            loop.hold(_outstanding(contract, size))
            for _ in range(max(1, math.floor(share_s / WINDOW_S))):
                _wait(min(WINDOW_S, share_s), loop, check)
                snapshots.append(server.statistics(name))
    loop.drain()
    return [*snapshots, server.statistics(name)]


def _outstanding(contract: ValidationContract, batch_size: int) -> int:
    """Requests on their way that keep every instance in batches of this size: one batch runs, the next one waits.

    A batch size of 1 needs no queue, which would only make larger batches.
    """
    return contract.model.instances * (2 * batch_size if batch_size > 1 else 1)


def _wait(seconds: float, loop: ClosedLoop, check: Callable[[], None]) -> None:
    time.sleep(seconds)
    check()
    loop.check()


@contextmanager
def _watched(device: GpuDevice | None) -> Iterator[DeviceWatch]:
    if device is None:
        yield DeviceWatch(reason="the server is not on a GPU of this machine")
        return
    with watch_device(device) as watch:
        yield watch


def bundle_problem(folder: str, name: str, hardware_id: str) -> Diagnostic:
    """The diagnostic that a folder holds no bundle of this spec and device."""
    return Diagnostic(
        id="calibrate-needs-bundle",
        message=f"{folder} holds no bundle of {name} for {hardware_id}",
        help=f"run `infc compile` first, with {hardware_id} chosen or in deploy.targets; -o names its output folder",
    )
