"""A second implementation of the real batcher, slow and literal: requests in lists, one clock event at a time."""

import math
from dataclasses import dataclass, field

from infc.ir.candidate import DynamicBatching


@dataclass(eq=False)
class Payload:
    """Requests on their way to an instance."""

    requests: list[int] = field(default_factory=list)
    is_stale: bool = False


class Reference:
    """Rules of Triton core r24.10 as they are told in `infc.sim.prefetching`, without any of its shortcuts."""

    def __init__(
        self,
        arrivals_s: list[float],
        busy_s: list[float],
        batching: DynamicBatching,
        instances: int,
        has_dynamic_shapes: bool,
    ) -> None:
        self.arrivals_s, self.busy_s, self.batching = arrivals_s, busy_s, batching
        self.instances = instances
        self.has_dynamic_shapes = has_dynamic_shapes
        self.preferred = set(batching.preferred_batch_sizes) or {batching.max_batch_size}
        self.queue: list[int] = []
        self.line: list[Payload] = []
        self.current = Payload()
        self.is_saturated = False
        self.next_preferred = 0
        self.alarm_s = math.inf
        self.busy_until_s: list[float] = []
        self.batches: list[tuple[float, list[int]]] = []

    def run(self) -> list[tuple[float, list[int]]]:
        """Start and requests of every batch."""
        pending = list(enumerate(self.arrivals_s))
        while pending or self.queue or self.line:
            arrival_s = pending[0][1] if pending else math.inf
            free_s = min(self.busy_until_s, default=math.inf)
            now_s = min(arrival_s, free_s, self.alarm_s)
            if arrival_s == now_s:
                self.queue.append(pending.pop(0)[0])
                is_asked_for = self.is_saturated or self.current.is_stale or len(self.queue) >= self.next_preferred
                if self.has_slot() and (is_asked_for or self.has_dynamic_shapes):
                    self.wake(now_s)
            elif free_s == now_s:
                self.busy_until_s.remove(free_s)
                if self.line or not self.batching.has_prefetch:
                    self.serve(now_s)
            else:
                self.wake(now_s)
        return self.batches

    @property
    def idle(self) -> int:
        """Instances that wait for a payload."""
        return self.instances - len(self.busy_until_s)

    def has_slot(self) -> bool:
        """Whether the batcher may put a payload in line."""
        limit = 2 * self.instances if self.batching.has_prefetch else self.idle
        return len(self.line) < limit

    def serve(self, now_s: float) -> None:
        """An instance got free."""
        if self.line:
            self.take(now_s)
        self.wake(now_s)

    def wake(self, now_s: float) -> None:
        """The batcher, and then the instances that wait."""
        self.form(now_s)
        while self.idle and self.line:
            self.take(now_s)
            self.form(now_s)

    def form(self, now_s: float) -> None:
        """The batcher until it sleeps."""
        maximum, delay_s = self.batching.max_batch_size, self.batching.max_queue_delay_s
        self.alarm_s = math.inf
        while True:
            if self.is_saturated or self.current.is_stale:
                self.current, self.is_saturated, self.next_preferred = Payload(), False, 0
            if not self.queue or not self.has_slot():
                return
            size = len(self.current.requests)
            fitting = min(len(self.queue), maximum - size)
            best = max((k for k in range(1, fitting + 1) if size + k in self.preferred), default=0)
            is_overdue = now_s >= self.arrivals_s[self.queue[0]] + delay_s
            if best and (delay_s == 0.0 or not is_overdue):
                self.move(best)
                self.is_saturated = delay_s == 0.0
            elif size + fitting >= max(self.preferred):
                self.move(fitting)
                self.is_saturated = True
            elif is_overdue:
                self.move(fitting)
            else:
                above = [each for each in self.preferred if each > size + fitting]
                self.next_preferred = min(above, default=min(self.preferred)) - size
                if size and size not in self.preferred:
                    self.move(fitting)
                else:
                    self.alarm_s = self.arrivals_s[self.queue[0]] + delay_s
                    return

    def move(self, count: int) -> None:
        """Requests from the queue to the current payload, which gets in line with its first."""
        if count and not self.current.requests:
            self.line.append(self.current)
        self.current.requests += self.queue[:count]
        del self.queue[:count]

    def take(self, now_s: float) -> None:
        """An idle instance takes the first payload and merges overdue ones."""
        taken = self.line.pop(0)
        taken.is_stale = True
        delay_s = self.batching.max_queue_delay_s
        while self.line and delay_s > 0.0 and now_s - self.arrivals_s[self.line[0].requests[0]] > delay_s:
            self.line[0].is_stale = True
            if len(taken.requests) + len(self.line[0].requests) > self.batching.max_batch_size:
                break
            taken.requests += self.line.pop(0).requests
        self.batches.append((now_s, list(taken.requests)))
        self.busy_until_s.append(now_s + self.busy_s[len(taken.requests) - 1])
