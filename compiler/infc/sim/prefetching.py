"""The real batcher under a queue delay or with preferred sizes of its own: an event simulation of three actors.

- The *batcher* moves requests from the queue into its current payload. It sleeps until a request that it asked for
  arrives, until the oldest request has waited for the queue delay, or until an instance takes a payload.
- *Payloads* that hold anything wait in a line shared by all instances, at most two for each. The current one may go on
  growing in that line. With prefetch off the batcher acts only while an instance waits, and the line stays empty.
- An *instance* that gets free takes the first payload. Under a queue delay it freezes later payloads older than the
  delay, and merges those that fit. A frozen payload never grows again, so that late requests wait out their delay.

With dynamic shapes every request wakes the batcher, since it may not fit the shape of the batch that is being formed.
Its payloads then grow until they are taken, and most of the harm that a queue delay does is gone.

Requests are served in order: a payload is a range of request numbers, the line a list of where each range starts.

Source: Triton core r24.10, dynamic_batch_scheduler, rate_limiter and instance_queue.
"""

import heapq
import math
from bisect import bisect_right
from collections import deque

from infc.ir.candidate import DynamicBatching
from infc.sim.overhead import ServerOverhead

_NEVER = math.inf


def simulate_prefetching(
    arrivals_s: list[float],
    busy_s: list[float],
    batching: DynamicBatching,
    instances: int,
    overhead: ServerOverhead,
    has_dynamic_shapes: bool,
) -> tuple[list[float], list[int]]:
    """Start and size of every batch, in order of start; requests are in order of arrival.

    `busy_s[b-1]` is how long a batch of b keeps an instance busy; of the overhead only what comes before and after it
    counts.
    """
    occupied_s = [seconds + overhead.idle_s for seconds in busy_s]
    server = _Server(arrivals_s, occupied_s, batching, instances, overhead.dispatch_s, has_dynamic_shapes)
    count = len(arrivals_s)
    while server.taken < count:
        server.advance()
    return server.starts_s, server.sizes


class _Server:
    """State of one run.

    Requests below `taken` were taken by an instance, below `moved` are in payloads, below `arrived` are in the queue.
    """

    def __init__(
        self,
        arrivals_s: list[float],
        occupied_s: list[float],
        batching: DynamicBatching,
        instances: int,
        dispatch_s: float,
        has_dynamic_shapes: bool,
    ) -> None:
        self.arrivals_s = [*arrivals_s, _NEVER]
        self.count = len(arrivals_s)
        self.occupied_s = occupied_s
        self.dispatch_s = dispatch_s
        self.delay_s = batching.max_queue_delay_s
        self.maximum = batching.max_batch_size
        self.preferred = sorted(set(batching.preferred_batch_sizes)) or [batching.max_batch_size]
        self.has_prefetch = batching.has_prefetch
        self.has_dynamic_shapes = has_dynamic_shapes
        self.line_limit = 2 * instances
        self.taken = self.moved = self.arrived = 0
        self.current = -1  # where the batcher's current payload starts; -1: it holds nothing yet
        self.is_closed = False  # the current payload is full, frozen or taken: the batcher's next step opens a new one
        self.line: deque[int] = deque()
        self.next_preferred = 0
        self.timer_s = _NEVER
        self.idle = deque([-_NEVER] * instances)  # since when each instance that waits does
        self.free_s: list[float] = []
        self.starts_s: list[float] = []
        self.sizes: list[int] = []

    def advance(self) -> None:
        """Handle the next event: a request that wakes the batcher, its timer, or an instance that gets free."""
        free_s = self.free_s[0] if self.free_s else _NEVER
        event_s = min(free_s, self.timer_s)
        waking = self._waking_request()
        if waking < self.count and self.arrivals_s[waking] <= event_s:
            self.arrived = waking + 1
            if not (self.idle and waking == self.taken and self._serve_quietly(waking)):
                self._batch(self.arrivals_s[waking])
            return
        # Requests that do not wake the batcher only join the queue.
        self.arrived = bisect_right(self.arrivals_s, event_s, self.arrived, min(waking, self.count))
        if free_s <= self.timer_s:
            self.idle.append(heapq.heappop(self.free_s))
            if self.line:
                self._take(free_s)
                self._batch(free_s)
            elif not self.has_prefetch:
                self._batch(free_s)
        else:
            self._batch(event_s)

    def _serve_quietly(self, first: int) -> bool:
        """Shortcut for a request that meets an empty server with an idle instance: what it does then is known at once.

        It waits out its delay and takes along what arrived meanwhile, unless that reaches a preferred size before: then
        nothing is done and the answer is False.
        """
        due_s = self.arrivals_s[first] + self.delay_s
        if self.arrivals_s[min(first + self.preferred[0] - 1, self.count)] <= due_s:
            return False
        while self.free_s and self.free_s[0] <= due_s:
            self.idle.append(heapq.heappop(self.free_s))
        end = first + 1
        while self.arrivals_s[end] <= due_s and self.delay_s > 0.0:
            end += 1
        self.arrived = self.moved = end
        self.is_closed = True
        self.line.append(first)
        self._take(due_s)
        return True

    def _waking_request(self) -> int:
        """The next request whose arrival wakes the batcher; `count` or beyond when none does before another event."""
        if not self._has_slot():
            return self.count
        if self.is_closed or self.has_dynamic_shapes:
            return self.arrived
        return max(self.moved + self.next_preferred - 1, self.arrived)

    def _batch(self, now_s: float) -> None:
        """Wake the batcher, and let idle instances take what it puts in line; each take wakes it again."""
        self._fill(now_s)
        while self.idle and self.line:
            self._take(now_s)
            self._fill(now_s)

    def _fill(self, now_s: float) -> None:
        """Run the batcher until it sleeps."""
        self.timer_s = _NEVER
        while True:
            if self.is_closed:
                self.current, self.is_closed, self.next_preferred = -1, False, 0
            if self.moved == self.arrived or not self._has_slot() or not self._move(now_s):
                return

    def _has_slot(self) -> bool:
        """Whether the batcher may put another payload in line."""
        waiting = len(self.line)
        return waiting < self.line_limit if self.has_prefetch else waiting < len(self.idle)

    def _move(self, now_s: float) -> bool:
        """Move requests from the queue to the current payload; False when the batcher sleeps instead."""
        size = self.moved - self.current if self.current >= 0 else 0
        movable = min(self.arrived - self.moved, self.maximum - size)
        largest = self.preferred[-1]
        due_s = self.arrivals_s[self.moved] + self.delay_s
        is_due = now_s >= due_s
        best = self._best_preferred(size, movable) if self.delay_s == 0.0 or not is_due else 0
        if best:
            movable = best
            self.is_closed = self.delay_s == 0.0
        elif size + movable >= largest:
            self.is_closed = True
        elif not is_due:
            self.next_preferred = self._preferred_above(size + movable) - size
            if size == 0 or size in self.preferred:
                self.timer_s = due_s
                return False
        if size == 0:
            self.current = self.moved
            self.line.append(self.moved)
        self.moved += movable
        return True

    def _best_preferred(self, size: int, movable: int) -> int:
        """How many requests to move for the largest preferred size that can be reached; 0 when none can."""
        index = bisect_right(self.preferred, size + movable)
        return max(self.preferred[index - 1] - size, 0) if index else 0

    def _preferred_above(self, size: int) -> int:
        index = bisect_right(self.preferred, size)
        return self.preferred[index] if index < len(self.preferred) else self.preferred[0]

    def _take(self, now_s: float) -> None:
        """An idle instance takes the first payload, merged with those behind it that are overdue and fit."""
        line = self.line
        first = line.popleft()
        if first == self.current:
            self.is_closed = True
        end = line[0] if line else self.moved
        while self.delay_s > 0.0 and line and now_s - self.arrivals_s[line[0]] > self.delay_s:
            if line[0] == self.current:
                self.is_closed = True
            merged_end = line[1] if len(line) > 1 else self.moved
            if merged_end - first > self.maximum:
                break
            line.popleft()
            end = merged_end
        start_s = now_s + self.dispatch_s if self.idle.popleft() < now_s else now_s
        self.taken = end
        self.starts_s.append(start_s)
        self.sizes.append(end - first)
        heapq.heappush(self.free_s, start_s + self.occupied_s[end - first - 1])
