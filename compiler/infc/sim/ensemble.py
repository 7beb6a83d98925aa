"""Triton's ensembles: models in steps, each with a scheduler of its own, coupled by the requests that pass through.

A step's model gets a request as soon as the steps before it have answered it; its rows, priority and timeout go along,
and each step's queue policy counts from there. An ensemble has no queue of its own, holds nothing back between steps
and answers when its last step has. A request that one step rejects is answered with that error.

A single model is an ensemble of one step.

Source: Triton core r24.10, ensemble_scheduler (GetNextSteps, InitStep, ResponseComplete).
"""

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from infc.sim.host import HostCores
from infc.sim.queue_policy import QueuedRequest
from infc.sim.requests import Requests
from infc.sim.scheduler import Scheduler
from infc.sim.step import Floats, RequestsResult, Step, StepResult


def simulate_ensemble(requests: Requests, steps: Sequence[Step], *, host_cores: int | None = None) -> RequestsResult:
    """Serve requests by an ensemble. Same arguments, same result; about 20 us a request and step.

    `host_cores` None: executions that share the host never wait for a core.

    Raises:
        ValueError: no steps, two of one name, a step after an unknown or later one, a request with more rows than a
            step takes, or a batch size without a service time.

    >>> from infc.ir.candidate import DynamicBatching
    >>> from infc.sim.service_times import ServiceTable
    >>> from infc.sim.step import InstanceGroup
    >>> pre = Step(name="pre", groups=(InstanceGroup(service=ServiceTable.of_batch([1.0])),))
    >>> two = InstanceGroup(service=ServiceTable.of_batch([2.0, 3.0]))
    >>> model = Step(name="model", groups=(two,), after=("pre",), batching=DynamicBatching(max_batch_size=2))
    >>> simulate_ensemble(Requests(arrivals_s=np.array([0.0, 0.1, 0.2])), [pre, model]).latency_s
    array([3. , 5.9, 5.8])
    """
    _require_valid(requests, steps)
    return _Run(requests, steps, host_cores).result()


def _require_valid(requests: Requests, steps: Sequence[Step]) -> None:
    names: set[str] = set()
    largest = 1 if requests.rows is None else int(requests.rows.max())
    if not steps:
        raise ValueError("an ensemble needs a step")
    for step in steps:
        if step.name in names or not set(step.after) <= names:
            raise ValueError(f"step {step.name} has the name of another, or comes after an unknown or later one")
        names.add(step.name)
        limit = step.batching.max_batch_size if step.batching else largest
        if largest > limit:
            raise ValueError(f"a request of {largest} rows is more than step {step.name} takes: {limit}")
        if step.instances < 1 or any(group.service.largest_batch < limit for group in step.groups):
            raise ValueError(f"step {step.name} needs an instance, and service times for batches up to {limit}")
        if step.batching and any(not 1 <= size <= limit for size in step.batching.preferred_batch_sizes):
            raise ValueError("a preferred batch size lies between 1 and the maximum batch size")


@dataclass(eq=False)
class _Job:
    """An execution on the host: of which step, on which group's instance, for whom."""

    step: int
    group: int
    started_s: float
    requests: list[QueuedRequest]


@dataclass(eq=False)
class _State:
    """What a run knows of one step."""

    step: Step
    scheduler: Scheduler
    queue_s: Floats
    following: list[int]
    batch_sizes: Counter[int] = field(default_factory=Counter)
    busy_s: float = 0.0


class _Run:
    """One simulation: requests enter, pass from step to step, and leave."""

    def __init__(self, requests: Requests, steps: Sequence[Step], host_cores: int | None) -> None:
        self._requests = requests
        self._count = len(requests.arrivals_s)
        self._host: HostCores[_Job] | None = None if host_cores is None else HostCores(host_cores)
        self._states = [self._state(index, step, steps) for index, step in enumerate(steps)]
        self._entries = [index for index, step in enumerate(steps) if not step.after]
        self._policed = [state for state in self._states if not state.step.rules.allows_prefetch]
        self._columns = [
            np.broadcast_to(default if values is None else values, self._count).tolist()
            for values, default in (
                (requests.rows, 1),
                (requests.axis_sizes, 1),
                (requests.priorities, 0),
                (requests.timeouts_s, 0.0),
            )
        ]
        self._passing: list[tuple[float, int, int, int]] = []
        self._passed = 0
        self._missing: dict[tuple[int, int], int] = {}
        self._answered_s = [0.0] * self._count
        self._is_rejected = np.zeros(self._count, dtype=np.bool_)

    def result(self) -> RequestsResult:
        """Run until every request is answered."""
        arrivals_s = [*self._requests.arrivals_s.tolist(), math.inf]
        schedulers = [state.scheduler for state in self._states]
        following = 0
        while True:
            now_s, source = min((each.next_event_s(), index) for index, each in enumerate(schedulers))
            arrival_s = arrivals_s[following]
            passing_s = self._passing[0][0] if self._passing else math.inf
            hosted_s = math.inf if self._host is None else self._host.next_event_s()
            first_s = min(now_s, arrival_s, passing_s, hosted_s)
            if first_s == math.inf:
                return self._summary()
            if arrival_s == first_s:
                for entry in self._entries:
                    self._enter(entry, following, first_s)
                following += 1
            elif passing_s == first_s:
                _, _, step, index = heapq.heappop(self._passing)
                self._pass_on(step, index, first_s)
            elif self._host is not None and hosted_s == first_s:
                self._end_hosted(self._host.finish(first_s), first_s)
            else:
                schedulers[source].advance(first_s)
            for state in self._policed:
                for request in state.scheduler.rejected():
                    self._reject(request.index, first_s)

    def _state(self, index: int, step: Step, steps: Sequence[Step]) -> _State:
        def execute(now_s: float, group: int, requests: list[QueuedRequest], has_waited: bool) -> float:
            dispatch_s = step.overhead.dispatch_s if has_waited else 0.0
            return self._execute(index, now_s, dispatch_s, group, requests)

        scheduler = Scheduler(
            batching=step.batching,
            rules=step.rules,
            instances=[group for group, each in enumerate(step.groups) for _ in range(each.count)],
            execute=execute,
            has_dynamic_shapes=step.has_dynamic_shapes,
        )
        following = [other for other, each in enumerate(steps) if step.name in each.after]
        return _State(step=step, scheduler=scheduler, queue_s=np.full(self._count, np.nan), following=following)

    def _enter(self, step: int, index: int, now_s: float) -> None:
        """A request joins the queue of a step."""
        rows, axis_size, priority, timeout_s = (column[index] for column in self._columns)
        request = QueuedRequest(index, rows, axis_size, priority, timeout_s)
        if not self._states[step].scheduler.enqueue(request, now_s):
            self._reject(index, now_s)

    def _execute(self, index: int, now_s: float, dispatch_s: float, group: int, requests: list[QueuedRequest]) -> float:
        """An execution starts: how long its instance is taken; infinite when the host says when it ends."""
        state = self._states[index]
        overhead = state.step.overhead
        rows = sum(request.rows for request in requests)
        largest = max(request.axis_size for request in requests)
        seconds = state.step.groups[group].service.at(rows, largest)
        seconds += overhead.execution_s + overhead.request_s * len(requests)
        state.batch_sizes[rows] += 1
        for request in requests:
            state.queue_s[request.index] = now_s + dispatch_s - request.enqueued_s
        if self._host is not None and state.step.shares_host:
            self._host.start(now_s, dispatch_s + seconds, _Job(index, group, now_s, requests))
            return math.inf
        state.busy_s += seconds
        self._answer(index, requests, now_s + dispatch_s + seconds)
        return dispatch_s + seconds + overhead.idle_s

    def _end_hosted(self, job: _Job, now_s: float) -> None:
        state = self._states[job.step]
        state.busy_s += now_s - job.started_s
        self._answer(job.step, job.requests, now_s)
        state.scheduler.free(now_s, job.group)

    def _answer(self, step: int, requests: list[QueuedRequest], end_s: float) -> None:
        """The answers of an execution leave, one after another, the last at its end."""
        overhead, is_last = self._states[step].step.overhead, not self._states[step].following
        last = len(requests) - 1
        for position, request in enumerate(requests):
            there_s = end_s - (last - position) * overhead.response_s + overhead.transport_s
            if is_last:
                self._answered_s[request.index] = max(self._answered_s[request.index], there_s)
            else:
                self._passed += 1
                heapq.heappush(self._passing, (there_s, self._passed, step, request.index))

    def _pass_on(self, step: int, index: int, now_s: float) -> None:
        """A step's answer arrives: the request joins the steps that now have all they wait for."""
        if self._is_rejected[index]:
            return
        for following in self._states[step].following:
            missing = self._missing.pop((following, index), len(self._states[following].step.after)) - 1
            if missing:
                self._missing[following, index] = missing
            else:
                self._enter(following, index, now_s)

    def _reject(self, index: int, now_s: float) -> None:
        self._is_rejected[index] = True
        self._answered_s[index] = max(self._answered_s[index], now_s)

    def _summary(self) -> RequestsResult:
        answered_s = np.asarray(self._answered_s)
        end_s = float(answered_s.max())
        steps = tuple(
            StepResult(
                name=state.step.name,
                queue_s=state.queue_s,
                batch_sizes=dict(sorted(state.batch_sizes.items())),
                busy_s=state.busy_s,
                utilization=state.busy_s / (state.step.instances * end_s) if end_s else 0.0,
            )
            for state in self._states
        )
        latency_s = answered_s - self._requests.arrivals_s
        return RequestsResult(latency_s=latency_s, is_rejected=self._is_rejected, steps=steps, end_s=end_s)
