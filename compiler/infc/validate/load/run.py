"""One load test from the first request to the verdict."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infc.ir.measurement import Measurement
from infc.sim.arrivals import arrival_times_s
from infc.validate.contract import ValidationContract
from infc.validate.load.generator import LoadGenerator
from infc.validate.load.result import measurement_from
from infc.validate.load.server import ObservedServer
from infc.validate.load.settings import MAX_REQUESTS, LoadSettings
from infc.validate.load.watch import LoadProgress, Watch

__all__ = ["LoadProgress", "run_load_test"]

_FIRST_REQUESTS = 3


def _nobody_listens(progress: LoadProgress) -> None:
    """The default progress callback."""


def _always_fine() -> None:
    """The default check: nothing is known of the server but its answers."""


@dataclass(frozen=True, kw_only=True)
class LoadSubject:
    """What is tested: a running server, the requests it gets, and what the report says of it.

    `target` is host:port of its gRPC service. `messages` are serialised requests, sent in random order. `axes` are
    the sizes of dynamic axes in all of them, None when they vary. `environment` goes into the measurement.
    """

    contract: ValidationContract
    target: str
    messages: Sequence[bytes]
    axes: Mapping[str, int] | None
    environment: Mapping[str, str]
    is_rehearsal: bool = False


def run_load_test(
    subject: LoadSubject,
    settings: LoadSettings,
    *,
    progress: Callable[[LoadProgress], None] = _nobody_listens,
    check_server: Callable[[], None] = _always_fine,
) -> Measurement:
    """Offer the contract's traffic to a running server, open loop, until a verdict settles or the budget is spent.

    Requests are sent by a process of their own at times that do not depend on the answers. Latency counts from the
    send; how late the sends were is reported, and verdicts count it as latency. A failure must hold without
    the requests that were sent late; else the run is not trusted, and inconclusive.

    Args:
        subject: what is tested.
        settings: budget, rate, seed, confidence.
        progress: called about five times a second.
        check_server: called about twice a second; raises ToolError when the server is gone.

    Raises:
        ToolError: the server does not answer, refuses the requests, or ends during the test.
    """
    contract = subject.contract
    rate_rps = settings.rate_rps or contract.replica_rps
    count = min(math.ceil(rate_rps * settings.budget_s * 1.2) + 100, MAX_REQUESTS)
    order = np.random.default_rng(settings.seed).integers(0, len(subject.messages), count).astype(np.int32)
    server = ObservedServer(subject.target)
    try:
        version = server.version(contract.model.name)
        for message in subject.messages[:_FIRST_REQUESTS]:
            server.check_answer(message)
        with (
            tempfile.TemporaryDirectory(prefix="infc-load-") as folder,
            LoadGenerator(
                subject.target,
                arrivals_s=arrival_times_s(contract.traffic.arrival, rate_rps, count, settings.seed),
                messages=subject.messages,
                order=order,
                job_file=Path(folder) / "job.npz",
                timeout_s=settings.timeout_s,
                max_outstanding=settings.max_outstanding,
                priority=settings.realtime_priority,
            ) as generator,
        ):
            watch = Watch(generator, server, contract, settings, progress, check_server)
            watch.follow()
            return measurement_from(
                watch,
                contract,
                settings,
                axes=subject.axes,
                environment={"server": version, **subject.environment},
                is_rehearsal=subject.is_rehearsal,
            )
    finally:
        server.close()
