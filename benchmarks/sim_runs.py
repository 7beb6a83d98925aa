"""One run of `sim_vs_triton`: traffic against the real server, and the same traffic simulated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2

from infc.serve.statistics import ModelStatistics
from infc.serve.triton import TritonServer
from infc.sim.arrivals import Times, arrival_times_s
from infc.sim.dynamic_batching import simulate
from infc.sim.ensemble import simulate_ensemble
from infc.sim.model_requests import simulate_requests
from infc.sim.overhead import ServerOverhead
from infc.sim.percentile import percentiles
from infc.sim.requests import Requests
from infc.sim.service_times import ServiceTable
from infc.sim.step import InstanceGroup, RequestsResult, Step
from infc.validate.load.generator import LoadGenerator
from sim_settings import (
    FIXED_ELEMENTS,
    LARGEST_BATCH,
    MODEL,
    PIPELINE,
    EnsembleSetting,
    Setting,
    ensemble_configs,
    light,
    model_config,
    with_policy,
)

WARM_UP_S = 2.0
WINDOWS = 5
MAX_LAG_S, MAX_STALL_S, MAX_SLOWING_S = 1e-3, 10e-3, 0.5e-3
ASKED = (50.0, 95.0, 99.0)
CLIENT_PRIORITY = 45
ANSWER_GAP_S = 3e-3
"""Answers of one batch come closer together than this, those of two batches do not."""
UNAVAILABLE = 14
"""The status of a request that a queue policy rejected."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What this server and client add, measured once, in seconds.

    `dispatch_s` until an idle instance starts, with a batcher, and `direct_s` without; `execution_s` and `request_s`
    around an execution, once and for each request in it; `response_s` between the answers of one batch; `idle_s`
    between executions where batches are formed ahead, `forming_s` where they are formed for a free instance;
    `transport_s` between client and server; `hand_over_s` from one step of an ensemble to the next.
    """

    dispatch_s: float
    direct_s: float
    execution_s: float
    request_s: float
    response_s: float
    idle_s: float
    forming_s: float
    transport_s: float
    hand_over_s: float

    def overhead(self, setting: Setting, transport_s: float | None = None, slowing_s: float = 0.0) -> ServerOverhead:
        """As the simulator takes it."""
        has_prefetch = setting.batching.has_prefetch and setting.rules.allows_prefetch
        return ServerOverhead(
            dispatch_s=self.dispatch_s if setting.batching.max_batch_size > 1 else self.direct_s,
            execution_s=self.execution_s + slowing_s,
            request_s=self.request_s,
            response_s=self.response_s,
            idle_s=self.idle_s if has_prefetch else self.forming_s,
            transport_s=self.transport_s if transport_s is None else transport_s,
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting, measured and simulated; latencies in seconds at p50, p95 and p99 of the requests served.

    `*_by_level` are p99s by priority level, `*_rejected` shares of all requests. `lag_*_s` is how late the client sent;
    `slowing_s` how much longer executions took than the probe's.
    """

    setting: Setting | EnsembleSetting
    measured_s: tuple[float, ...]
    in_situ_s: tuple[float, ...]
    a_priori_s: tuple[float, ...]
    textbook_s: tuple[float, ...]
    measured_by_level: tuple[float, ...]
    simulated_by_level: tuple[float, ...]
    measured_rejected: float
    simulated_rejected: float
    mean_batch_size: float
    simulated_batch_size: float
    utilization: float
    lag_p99_s: float
    lag_max_s: float
    slowing_s: float

    @property
    def is_noisy(self) -> bool:
        """Whether something else held the client or the server up, so that the latencies do not mean much."""
        return self.noise > 1.0

    @property
    def noise(self) -> float:
        """How noisy, to choose among repeated runs; 1 is the limit."""
        return max(self.lag_p99_s / MAX_LAG_S, self.lag_max_s / MAX_STALL_S, self.slowing_s / MAX_SLOWING_S)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One load run: when requests were sent and how long they took, and the server's counters over it."""

    sent_s: Times
    latency_s: Floats
    lag_s: Floats
    is_rejected: npt.NDArray[np.bool_]
    statistics: ModelStatistics

    def transport_s(self, response_s: float, mean_rows: float = 1.0) -> float:
        """Mean seconds between client and server.

        The server counts a request as under way until the last answer of its batch has left, `response_s` after
        each other.
        """
        outside_s = self.statistics.layers(float(self.latency_s[~self.is_rejected].mean())).transport_s
        waiting = sum(b.executions * b.batch_size * (b.batch_size / mean_rows - 1) / 2 for b in self.statistics.batches)
        rows = sum(batch.executions * batch.batch_size for batch in self.statistics.batches)
        return outside_s + response_s * max(waiting / rows, 0.0)


class Bench:
    """A running server and the client's place to work in."""

    def __init__(self, server: TritonServer, workdir: Path, is_realtime: bool) -> None:
        self._server = server
        self._workdir = workdir
        self._priority = CLIENT_PRIORITY if is_realtime else None

    def load(self, setting: Setting | EnsembleSetting) -> None:
        """Load the model or the ensemble and warm up every instance."""
        if isinstance(setting, EnsembleSetting):
            configs, instances = ensemble_configs(setting), 2
        else:
            configs, instances = {MODEL: model_config(setting)}, setting.instances + 1
        for name, config in configs.items():
            self._server.load_model(name, config)
        self.send(Requests(arrivals_s=np.repeat(np.arange(1, 6) * 0.1, 4 * instances)), name=list(configs)[-1])

    def send(self, requests: Requests, *, name: str = MODEL) -> Run:
        """Send requests at their times; every one must be answered or rejected."""
        messages, order = _messages(requests, name)
        before = self._server.statistics(name)
        with LoadGenerator(
            self._server.grpc_url,
            arrivals_s=requests.arrivals_s,
            messages=messages,
            order=order,
            job_file=self._workdir / "job.npz",
            timeout_s=30.0,
            max_outstanding=20_000,
            priority=self._priority,
        ) as generator:
            for _ in generator.frames():
                pass
        if not np.isin(generator.codes, (0, UNAVAILABLE)).all():
            raise SystemExit("the server refused requests")
        lag_s = generator.sent_s - requests.arrivals_s
        return Run(
            sent_s=generator.sent_s - generator.sent_s.min(),
            latency_s=generator.done_s - generator.sent_s,
            lag_s=lag_s - np.median(lag_s),
            is_rejected=generator.codes == UNAVAILABLE,
            statistics=self._server.statistics(name).since(before),
        )

    def probe(self, ensemble: EnsembleSetting) -> Probe:
        """Measure overheads: batches of every size one after the other, a backlog of full batches, an idle ensemble."""
        setting = light(1, 5)
        self.load(setting)
        groups = [np.full(1 + index % LARGEST_BATCH, index * 0.03) for index in range(30 * LARGEST_BATCH)]
        run = self.send(Requests(arrivals_s=np.concatenate(groups)))
        service_s = run.statistics.service_s_by_batch_size
        sizes = np.array(sorted(size for size in service_s if size <= LARGEST_BATCH))
        added_s = [service_s[size] - setting.sleep_s[size - 1] for size in sizes]
        each_s, base_s = np.polyfit(sizes, added_s, 1)
        response_s, idle_s = self._backlog()
        self.load(with_policy(setting))
        _, forming_s = self._backlog()
        dispatch_s, direct_s = (self._dispatch_s(light(1, size=size)) for size in (LARGEST_BATCH, 1))
        transport_s = run.transport_s(response_s)
        hand_over_s = self._hand_over_s(ensemble, transport_s)
        return Probe(
            dispatch_s=dispatch_s,
            direct_s=direct_s,
            execution_s=float(base_s),
            request_s=float(each_s),
            response_s=response_s,
            idle_s=idle_s,
            forming_s=forming_s,
            transport_s=transport_s,
            hand_over_s=hand_over_s,
        )

    def _dispatch_s(self, setting: Setting) -> float:
        """Mean seconds in the queue of requests that find the instance idle."""
        self.load(setting)
        run = self.send(Requests(arrivals_s=np.arange(1, 150) * 0.02))
        return run.statistics.queue_s / run.statistics.requests

    def _hand_over_s(self, ensemble: EnsembleSetting, transport_s: float) -> float:
        """Mean seconds from one step to the next of an idle ensemble."""
        self.load(ensemble)
        before = [self._server.statistics(name) for name, _ in ensemble.steps]
        run = self.send(Requests(arrivals_s=np.arange(1, 100) * 0.05), name=PIPELINE)
        inside_s = 0.0
        for (name, _), then in zip(ensemble.steps, before, strict=True):
            each = self._server.statistics(name).since(then)
            inside_s += each.queue_s / each.requests + _mean_service_s(each)
        return max(float(run.latency_s.mean()) - inside_s - transport_s, 0.0) / (len(ensemble.steps) - 1)

    def _backlog(self) -> tuple[float, float]:
        """Seconds between the answers of a full batch, and between executions beyond what they take."""
        apart_s, between_s = [], []
        for _ in range(3):
            run = self.send(Requests(arrivals_s=np.zeros(40 * LARGEST_BATCH)))
            done_s = np.sort(run.sent_s + run.latency_s)
            batches = np.split(done_s, np.flatnonzero(np.diff(done_s) > ANSWER_GAP_S) + 1)
            full = [batch for batch in batches[2:] if len(batch) == LARGEST_BATCH]
            apart_s += [(batch[-1] - batch[0]) / (LARGEST_BATCH - 1) for batch in full]
            cycles_s = np.diff([batch[-1] for batch in batches[2:-1]])
            full_s = run.statistics.service_s_by_batch_size[LARGEST_BATCH]
            # Without prefetch the server at times misses a wake-up and then stalls for half a second.
            between_s += [cycle_s - full_s for cycle_s in cycles_s if cycle_s < 10 * full_s]
        return float(np.median(apart_s)), max(float(np.mean(between_s)), 0.0)

    def measure(self, setting: Setting, probe: Probe, seconds: float, seed: int) -> Row:
        """Run one setting and simulate it."""
        count = round((WARM_UP_S + seconds) * setting.rate_rps)
        planned = setting.requests(arrival_times_s(setting.arrival, setting.rate_rps, count, seed), seed)
        run = self.send(planned)
        sent = replace(planned, arrivals_s=np.maximum.accumulate(run.sent_s))
        transport_s = run.transport_s(probe.response_s, planned.mean_rows)
        in_situ, slowing_s = _in_situ(setting, sent, run, probe, transport_s)
        a_priori = _simulated(setting, planned, setting.table(), probe.overhead(setting))
        textbook_s: tuple[float, ...] = ()
        if setting.is_plain:
            as_textbook = replace(setting.batching, has_prefetch=False, preferred_batch_sizes=())
            own = replace(probe.overhead(setting, transport_s), execution_s=0.0, request_s=0.0)
            service_s = _measured_service_s(setting, run, probe, slowing_s)
            textbook = simulate(sent.arrivals_s, service_s, as_textbook, setting.instances, overhead=own)
            textbook_s = _tail(textbook.latency_s, sent.arrivals_s)
        return Row(
            setting=setting,
            measured_s=_tail(run.latency_s, run.sent_s, run.is_rejected),
            in_situ_s=_tail_of(in_situ, sent),
            a_priori_s=_tail_of(a_priori, planned),
            textbook_s=textbook_s,
            measured_by_level=_by_level(planned, run.latency_s, run.is_rejected),
            simulated_by_level=_by_level(planned, in_situ.latency_s, in_situ.is_rejected),
            measured_rejected=float(run.is_rejected.mean()),
            simulated_rejected=float(in_situ.is_rejected.mean()),
            mean_batch_size=run.statistics.mean_batch_size,
            simulated_batch_size=in_situ.steps[0].mean_batch_size,
            utilization=in_situ.steps[0].utilization,
            lag_p99_s=percentiles(run.lag_s, (99.0,))[0],
            lag_max_s=float(run.lag_s.max()),
            slowing_s=slowing_s,
        )

    def measure_ensemble(self, setting: EnsembleSetting, probe: Probe, seconds: float, seed: int) -> Row:
        """Run an ensemble and simulate it."""
        before = [self._server.statistics(name) for name, _ in setting.steps]
        count = round((WARM_UP_S + seconds) * setting.rate_rps)
        planned = Requests(arrivals_s=arrival_times_s(setting.arrival, setting.rate_rps, count, seed))
        run = self.send(planned, name=PIPELINE)
        after = [self._server.statistics(name) for name, _ in setting.steps]
        statistics = [now.since(then) for now, then in zip(after, before, strict=True)]
        slowing_s = [_excess_s(step, each, probe) for (_, step), each in zip(setting.steps, statistics, strict=True)]
        sent = Requests(arrivals_s=np.maximum.accumulate(run.sent_s))
        in_situ = simulate_ensemble(sent, _steps(setting, probe, slowing_s))
        a_priori = simulate_ensemble(planned, _steps(setting, probe, [0.0] * len(slowing_s)))
        batched = int(np.argmax([step.batching.max_batch_size for _, step in setting.steps]))
        return Row(
            setting=setting,
            measured_s=_tail(run.latency_s, run.sent_s),
            in_situ_s=_tail_of(in_situ, sent),
            a_priori_s=_tail_of(a_priori, planned),
            textbook_s=(),
            measured_by_level=(),
            simulated_by_level=(),
            measured_rejected=0.0,
            simulated_rejected=0.0,
            mean_batch_size=statistics[batched].mean_batch_size,
            simulated_batch_size=in_situ.steps[batched].mean_batch_size,
            utilization=max(step.utilization for step in in_situ.steps),
            lag_p99_s=percentiles(run.lag_s, (99.0,))[0],
            lag_max_s=float(run.lag_s.max()),
            slowing_s=max(slowing_s),
        )


def _messages(requests: Requests, name: str) -> tuple[list[bytes], npt.NDArray[np.int32]]:
    """One message for each kind of request, and which one each request sends."""
    count = len(requests.arrivals_s)
    columns = [
        np.full(count, default) if values is None else values
        for values, default in ((requests.rows, 1), (requests.axis_sizes, FIXED_ELEMENTS), (requests.priorities, 0))
    ]
    kinds, order = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    messages = []
    for rows, elements, priority in kinds.tolist():
        request = service_pb2.ModelInferRequest(model_name=name)
        request.inputs.add(name="x", datatype="FP32").shape.extend([rows, elements])
        request.raw_input_contents.append(bytes(4 * rows * elements))
        if priority:
            request.parameters["priority"].int64_param = priority
        messages.append(request.SerializeToString())
    return messages, order.reshape(-1).astype(np.int32)


def _groups(setting: Setting, table: ServiceTable) -> tuple[InstanceGroup, ...]:
    groups = [InstanceGroup(service=table, count=setting.instances)]
    if setting.slower:
        groups.append(InstanceGroup(service=setting.table(setting.slower)))
    return tuple(groups)


def _simulated(setting: Setting, requests: Requests, table: ServiceTable, overhead: ServerOverhead) -> RequestsResult:
    return simulate_requests(
        requests,
        _groups(setting, table),
        setting.batching,
        rules=setting.rules,
        has_dynamic_shapes=setting.has_dynamic_shapes,
        overhead=overhead,
    )


def _in_situ(
    setting: Setting, sent: Requests, run: Run, probe: Probe, transport_s: float
) -> tuple[RequestsResult, float]:
    """With the service times of the run, and how much longer these were than the probe's.

    Where batches differ in more than their size, only the mean over all executions is known.
    """
    if setting.is_plain:
        slowing_s = _excess_s(setting, run.statistics, probe)
        table = ServiceTable.of_batch(_measured_service_s(setting, run, probe, slowing_s))
        own = replace(probe.overhead(setting, transport_s), execution_s=0.0, request_s=0.0)
        return _simulated(setting, sent, table, own), slowing_s
    slowing_s = 0.0
    for _ in range(2):
        overhead = probe.overhead(setting, transport_s, slowing_s)
        result = _simulated(setting, sent, setting.table(), overhead)
        slowing_s += _mean_service_s(run.statistics) - result.steps[0].mean_service_s
    return result, slowing_s


def _mean_service_s(statistics: ModelStatistics) -> float:
    return sum(batch.service_s * batch.executions for batch in statistics.batches) / statistics.executions


def _steps(setting: EnsembleSetting, probe: Probe, slowing_s: Sequence[float]) -> list[Step]:
    steps: list[Step] = []
    for (name, step), slower_s in zip(setting.steps, slowing_s, strict=True):
        is_last = name == setting.steps[-1][0]
        steps.append(
            Step(
                name=name,
                groups=_groups(step, step.table()),
                batching=step.batching if step.batching.max_batch_size > 1 else None,
                after=(steps[-1].name,) if steps else (),
                overhead=probe.overhead(step, probe.transport_s if is_last else probe.hand_over_s, slower_s),
            )
        )
    return steps


def _measured_service_s(setting: Setting, run: Run, probe: Probe, slowing_s: float) -> list[float]:
    """Service times of a run by batch size; those of sizes that hardly ran follow from the others."""
    measured = {batch.batch_size: batch.service_s for batch in run.statistics.batches if batch.executions >= 5}
    return [
        measured.get(size, setting.sleep_s[size - 1] + probe.execution_s + probe.request_s * size + slowing_s)
        for size in range(1, LARGEST_BATCH + 1)
    ]


def _excess_s(setting: Setting, statistics: ModelStatistics, probe: Probe) -> float:
    """Mean seconds that an execution took beyond its sleep and the probed overhead; requests of one row."""
    excess_s = sum(
        (batch.service_s - setting.sleep_s[batch.batch_size - 1] - probe.request_s * batch.batch_size)
        * batch.executions
        for batch in statistics.batches
    )
    return excess_s / statistics.executions - probe.execution_s


def _tail(latency_s: Floats, times_s: Times, is_rejected: npt.NDArray[np.bool_] | None = None) -> tuple[float, ...]:
    """Each percentile in every window after the warm-up, and of these the median; requests that were served."""
    since_s = times_s - times_s[0]
    served = np.ones(len(times_s), bool) if is_rejected is None else ~is_rejected
    edges_s = np.linspace(WARM_UP_S, since_s[-1], WINDOWS + 1)
    windows = [latency_s[served & (since_s >= low) & (since_s <= high)] for low, high in pairwise(edges_s)]
    return tuple(float(value) for value in np.median([percentiles(window, ASKED) for window in windows], axis=0))


def _tail_of(result: RequestsResult, requests: Requests) -> tuple[float, ...]:
    return _tail(result.latency_s, requests.arrivals_s, result.is_rejected)


def _by_level(requests: Requests, latency_s: Floats, is_rejected: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    """p99 of each priority's requests, all of the run."""
    if requests.priorities is None:
        return ()
    levels = np.unique(requests.priorities)
    return tuple(percentiles(latency_s[(requests.priorities == each) & ~is_rejected], (99.0,))[0] for each in levels)
