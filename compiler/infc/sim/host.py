"""Cores of a host that executions share."""

import heapq
import math
from typing import Generic, TypeVar

Job = TypeVar("Job")


class HostCores(Generic[Job]):
    """Executions that take a core each, and equal shares of all cores when there are more of them than cores.

    This is processor sharing, to which Linux's fair scheduler comes close at the scale of milliseconds. Work is counted
    on a clock that runs at the share each job gets: a job ends when that clock has gone on by its work.
    """

    def __init__(self, cores: int) -> None:
        if cores < 1:
            raise ValueError("a host needs a core")
        self._cores = cores
        self._ends: list[tuple[float, int, Job]] = []
        self._started = 0
        self._clock = 0.0
        self._now_s = 0.0

    def next_event_s(self) -> float:
        """When the next job ends if no other starts; infinite without jobs."""
        if not self._ends:
            return math.inf
        return self._now_s + max(self._ends[0][0] - self._clock, 0.0) / self._share

    def start(self, now_s: float, work_s: float, job: Job) -> None:
        """Start a job that takes `work_s` on a core of its own."""
        self._go_on(now_s)
        self._started += 1
        heapq.heappush(self._ends, (self._clock + work_s, self._started, job))

    def finish(self, now_s: float) -> Job:
        """End the job that `next_event_s` announced."""
        end = self._ends[0][0]
        self._go_on(now_s)
        self._clock = end
        return heapq.heappop(self._ends)[2]

    @property
    def _share(self) -> float:
        return min(1.0, self._cores / len(self._ends))

    def _go_on(self, now_s: float) -> None:
        if self._ends:
            self._clock += (now_s - self._now_s) * self._share
        self._now_s = now_s
