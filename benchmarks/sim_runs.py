"""One run of `sim_vs_triton`: traffic against the real server, and the same traffic simulated."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2

from infc.serve.statistics import ModelStatistics
from infc.serve.triton import TritonServer
from infc.sim.arrivals import Times, arrival_times_s
from infc.sim.dynamic_batching import BatchingResult, ServerOverhead, simulate
from infc.sim.percentile import percentiles
from infc.validate.load.generator import LoadGenerator
from sim_settings import LARGEST_BATCH, MODEL, Setting, light, model_config

WARM_UP_S = 2.0
WINDOWS = 5
MAX_LAG_S, MAX_STALL_S, MAX_SLOWING_S = 1e-3, 10e-3, 0.5e-3
ASKED = (50.0, 99.0)
CLIENT_PRIORITY = 45


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What this server and client add, measured once: seconds by batch size, and around executions."""

    overhead_s: tuple[float, ...]
    idle_s: float
    transport_s: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting, measured and simulated; latencies in seconds at p50 and p99.

    `lag_*_s` is how late the client sent; `slowing_s` how much longer executions took than the probe's.
    """

    setting: Setting
    measured_s: tuple[float, ...]
    in_situ_s: tuple[float, ...]
    a_priori_s: tuple[float, ...]
    textbook_s: tuple[float, ...]
    mean_batch_size: float
    simulated_batch_size: float
    utilization: float
    lag_p99_s: float
    lag_max_s: float
    slowing_s: float

    @property
    def is_noisy(self) -> bool:
        """Whether something else held the client or the server up, so that the latencies do not mean much."""
        return self.lag_p99_s > MAX_LAG_S or self.lag_max_s > MAX_STALL_S or self.slowing_s > MAX_SLOWING_S

    @property
    def noise(self) -> float:
        """How noisy, to choose among repeated runs; 1 is the limit."""
        return max(self.lag_p99_s / MAX_LAG_S, self.lag_max_s / MAX_STALL_S, self.slowing_s / MAX_SLOWING_S)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One load run: when requests were sent and how long they took, and the server's counters over it."""

    sent_s: Times
    latency_s: npt.NDArray[np.float64]
    lag_s: npt.NDArray[np.float64]
    statistics: ModelStatistics


class Bench:
    """A running server and the client's place to work in."""

    def __init__(self, server: TritonServer, workdir: Path, is_realtime: bool) -> None:
        self._server = server
        self._workdir = workdir
        self._priority = CLIENT_PRIORITY if is_realtime else None
        request = service_pb2.ModelInferRequest(model_name=MODEL)
        request.inputs.add(name="x", datatype="FP32").shape.extend([1, 16])
        request.raw_input_contents.append(bytes(64))
        self._message = request.SerializeToString()

    def load(self, setting: Setting) -> None:
        """Load the model with this setting and warm up every instance."""
        self._server.load_model(MODEL, model_config(setting))
        self.send(np.repeat(np.arange(1, 6) * 0.1, 4 * setting.instances))

    def send(self, arrivals_s: Times) -> Run:
        """Send requests at these times; every one must be answered."""
        before = self._server.statistics(MODEL)
        with LoadGenerator(
            self._server.grpc_url,
            arrivals_s=arrivals_s,
            messages=[self._message],
            order=np.zeros(len(arrivals_s), np.int32),
            job_file=self._workdir / "job.npz",
            timeout_s=30.0,
            max_outstanding=20_000,
            priority=self._priority,
        ) as generator:
            for _ in generator.frames():
                pass
        if not (generator.codes == 0).all():
            raise SystemExit("the server refused requests")
        sent_s = generator.sent_s - generator.sent_s.min()
        planned_s = arrivals_s - arrivals_s[0]
        lag_s = sent_s - planned_s
        lag_s -= np.median(lag_s)
        return Run(
            sent_s=sent_s,
            latency_s=generator.done_s - generator.sent_s,
            lag_s=lag_s,
            statistics=self._server.statistics(MODEL).since(before),
        )

    def probe(self) -> Probe:
        """Measure overheads: batches of every size one after the other, then a backlog of full batches."""
        setting = light(1, 5)
        self.load(setting)
        groups = [np.full(1 + index % LARGEST_BATCH, index * 0.03) for index in range(30 * LARGEST_BATCH)]
        run = self.send(np.concatenate(groups))
        service_s = run.statistics.service_s_by_batch_size
        sizes = np.array(sorted(size for size in service_s if size <= LARGEST_BATCH))
        added_s = [service_s[size] - setting.sleep_s[size - 1] for size in sizes]
        each_s, base_s = np.polyfit(sizes, added_s, 1)
        backlog = self.send(np.zeros(60 * LARGEST_BATCH))
        ends_s = np.sort(backlog.sent_s + backlog.latency_s)[LARGEST_BATCH - 1 :: LARGEST_BATCH][5:]
        full_s = backlog.statistics.service_s_by_batch_size[LARGEST_BATCH]
        return Probe(
            overhead_s=tuple(float(base_s + each_s * size) for size in range(1, LARGEST_BATCH + 1)),
            idle_s=float(max(np.median(np.diff(ends_s)) - full_s, 0.0)),
            transport_s=run.statistics.layers(float(run.latency_s.mean())).transport_s,
        )

    def measure(self, setting: Setting, probe: Probe, seconds: float, seed: int) -> Row:
        """Run one setting and simulate it."""
        count = round((WARM_UP_S + seconds) * setting.rate_rps)
        planned_s = arrival_times_s(setting.arrival, setting.rate_rps, count, seed)
        run = self.send(planned_s)
        in_situ_s = _measured_service_s(setting, run.statistics, probe)
        transport_s = run.statistics.layers(float(run.latency_s.mean())).transport_s
        own = ServerOverhead(idle_s=probe.idle_s, transport_s=transport_s)
        in_situ = _simulated(setting, run.sent_s, in_situ_s, own)
        as_textbook = replace(setting.batching, has_prefetch=False, preferred_batch_sizes=())
        textbook = simulate(run.sent_s, in_situ_s, as_textbook, setting.instances, overhead=own)
        known_s = [sleep_s + added_s for sleep_s, added_s in zip(setting.sleep_s, probe.overhead_s, strict=True)]
        probed = ServerOverhead(idle_s=probe.idle_s, transport_s=probe.transport_s)
        a_priori = _simulated(setting, planned_s, known_s, probed)
        return Row(
            setting=setting,
            measured_s=_tail(run.latency_s, run.sent_s),
            in_situ_s=_tail_of(in_situ, run.sent_s),
            a_priori_s=_tail_of(a_priori, planned_s),
            textbook_s=_tail_of(textbook, run.sent_s),
            mean_batch_size=run.statistics.mean_batch_size,
            simulated_batch_size=in_situ.mean_batch_size,
            utilization=in_situ.utilization,
            lag_p99_s=percentiles(run.lag_s, (99.0,))[0],
            lag_max_s=float(run.lag_s.max()),
            slowing_s=_slowing_s(setting, run.statistics, probe),
        )


def _simulated(setting: Setting, times_s: Times, service_s: list[float], overhead: ServerOverhead) -> BatchingResult:
    return simulate(
        times_s,
        service_s,
        setting.batching,
        setting.instances,
        has_dynamic_shapes=setting.has_dynamic_shapes,
        overhead=overhead,
    )


def _measured_service_s(setting: Setting, statistics: ModelStatistics, probe: Probe) -> list[float]:
    """Service times of a run by batch size; those of sizes that hardly ran follow from the others."""
    shift_s = _slowing_s(setting, statistics, probe)
    measured = {batch.batch_size: batch.service_s for batch in statistics.batches if batch.executions >= 5}
    return [
        measured.get(size, setting.sleep_s[size - 1] + probe.overhead_s[size - 1] + shift_s)
        for size in range(1, LARGEST_BATCH + 1)
    ]


def _slowing_s(setting: Setting, statistics: ModelStatistics, probe: Probe) -> float:
    """Mean seconds that an execution took beyond its sleep and the probed overhead."""
    expected = {size: setting.sleep_s[size - 1] + probe.overhead_s[size - 1] for size in range(1, LARGEST_BATCH + 1)}
    excess_s = sum((batch.service_s - expected[batch.batch_size]) * batch.executions for batch in statistics.batches)
    return excess_s / statistics.executions


def _tail(latency_s: npt.NDArray[np.float64], times_s: Times) -> tuple[float, ...]:
    """Each percentile in every window after the warm-up, and of these the median."""
    since_s = times_s - times_s[0]
    edges_s = np.linspace(WARM_UP_S, since_s[-1], WINDOWS + 1)
    windows = [latency_s[(since_s >= low) & (since_s <= high)] for low, high in pairwise(edges_s)]
    return tuple(float(value) for value in np.median([percentiles(window, ASKED) for window in windows], axis=0))


def _tail_of(result: BatchingResult, times_s: Times) -> tuple[float, ...]:
    return _tail(result.latency_s, times_s)
