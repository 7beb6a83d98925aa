"""One model's scheduler as the real server runs it: queue, batcher, line of payloads, instances.

The events are those of `sim.prefetching`, for requests that differ: rows fill a batch, shapes that differ end it,
priorities and timeouts reorder the queue. It is driven from outside, event by event, so that several can be coupled.

What requests that differ change, in the real server as here:

- A request that does not fit the batch is not overtaken by a later, smaller one.
- A request of another shape closes the payload that is being formed, which then is neither filled nor merged. One that
  finds only such a payload waits until an instance takes it: the batcher forms no other before.
- With priority levels or a policy that can fire, batches are formed only while an instance is free. A timeout is looked
  at when a batch is formed, and every half second while none can be: a request may be rejected long after its time.

Source: Triton core r24.10, dynamic_batch_scheduler (GetDynamicBatch, Enqueue, WaitForPayloadSlotAvailable),
instance_queue, payload, rate_limiter.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence

from infc.ir.candidate import DynamicBatching
from infc.sim.queue_policy import NO_RULES, QueuedRequest, QueueRules, RequestQueue

_NEVER = math.inf
_POLL_S = 0.5
_TICK_S = 1e-6
"""How long after its timeout a request is looked at: the real batcher sleeps in whole microseconds."""

Execute = Callable[[float, int, list[QueuedRequest], bool], float]


class Payload:
    """Requests on their way to an instance. A stale payload takes no more; a marked one is not merged either."""

    __slots__ = ("axis_size", "is_marked", "is_stale", "oldest_s", "requests", "rows")

    def __init__(self) -> None:
        self.requests: list[QueuedRequest] = []
        self.rows = 0
        self.axis_size = 0
        self.oldest_s = _NEVER
        self.is_stale = False
        self.is_marked = False

    def take(self, requests: list[QueuedRequest]) -> None:
        """Add requests."""
        self.requests += requests
        for request in requests:
            self.rows += request.rows
            self.oldest_s = min(self.oldest_s, request.enqueued_s)


class Scheduler:
    """The scheduler of one model.

    Args:
        batching: the dynamic batcher; None: every request is an execution of its own, in order of arrival.
        rules: priority levels and queue policies; only a dynamic batcher has them.
        instances: the group of each instance; the one that has been free for longest takes the next payload.
        execute: called as (now, group, requests, whether the instance had to wait for them) when an execution starts;
            seconds until its instance is free again, or infinity when `free` will be called.
        has_dynamic_shapes: an input has a dynamic dimension and may not be ragged: requests of different `axis_size` do
            not share a batch, and every request wakes the batcher.
    """

    def __init__(
        self,
        *,
        batching: DynamicBatching | None,
        instances: Sequence[int],
        execute: Execute,
        rules: QueueRules = NO_RULES,
        has_dynamic_shapes: bool = False,
    ) -> None:
        self._is_direct = batching is None
        settings = batching or DynamicBatching(max_batch_size=1)
        self._delay_s = settings.max_queue_delay_s
        self._maximum = settings.max_batch_size
        self._preferred = sorted(set(settings.preferred_batch_sizes)) or [settings.max_batch_size]
        self._has_prefetch = settings.has_prefetch and rules.allows_prefetch
        self._looks_at_shapes = has_dynamic_shapes
        self._line_limit = 2 * len(instances)
        self._execute = execute
        self._queue = RequestQueue(rules)
        self._idle: deque[tuple[int, float]] = deque((group, -_NEVER) for group in instances)
        self._busy: list[tuple[float, int, int]] = []
        self._started = 0
        self._line: deque[Payload] = deque()
        self._current = Payload()
        self._is_saturated = False
        self._next_preferred = 0
        self._timer_s = _NEVER
        self._poll_s = _NEVER
        self._asleep_s = 0.0

    def next_event_s(self) -> float:
        """When something happens that no arrival causes; infinite when nothing does."""
        free_s = self._busy[0][0] if self._busy else _NEVER
        return min(free_s, self._timer_s, self._poll_s)

    def advance(self, now_s: float) -> None:
        """Let happen what `next_event_s` announced for `now_s`."""
        if self._busy and self._busy[0][0] <= now_s:
            _, _, group = heapq.heappop(self._busy)
            self.free(now_s, group)
        elif self._timer_s <= now_s:
            self._batch(now_s)
        else:
            self._queue.reject_expired(now_s)
            self._poll_s = now_s + _POLL_S if self._queue.size else _NEVER

    def enqueue(self, request: QueuedRequest, now_s: float) -> bool:
        """A request arrives; False when it is rejected at once because the queue is full."""
        if self._is_direct:
            payload = Payload()
            request.enqueued_s = now_s
            payload.take([request])
            self._line.append(payload)
            if self._idle:
                self._take(now_s)
            return True
        if not self._queue.enqueue(request, now_s):
            return False
        is_asked_for = (
            self._looks_at_shapes
            or self._is_saturated
            or self._current.is_stale
            or self._queue.rows >= self._next_preferred
        )
        if is_asked_for and self._has_slot():
            self._batch(now_s)
        elif not self._has_prefetch:
            self._sleep_on(now_s)
        return True

    def free(self, now_s: float, group: int) -> None:
        """An instance of a group is free again."""
        self._idle.append((group, now_s))
        if self._line:
            self._take(now_s)
            if not self._is_direct:
                self._batch(now_s)
        elif not self._has_prefetch and not self._is_direct:
            self._batch(now_s)

    def rejected(self) -> list[QueuedRequest]:
        """Requests whose time was over and that were rejected since the last call."""
        found = self._queue.rejected
        if found:
            self._queue.rejected = []
        return found

    def _sleep_on(self, now_s: float) -> None:
        """The batcher is not woken by an arrival: it looks again when half a second of its sleep is over."""
        if not self._has_slot():
            self._poll_s = min(self._poll_s, now_s + _POLL_S)
        elif self._timer_s == _NEVER:
            # Rejections left the queue empty, but the batcher still waits for as many rows as before.
            self._timer_s = self._asleep_s + _POLL_S * math.ceil((now_s - self._asleep_s) / _POLL_S)

    def _batch(self, now_s: float) -> None:
        """Wake the batcher, and let idle instances take what it puts in line; each take wakes it again."""
        self._fill(now_s)
        while self._idle and self._line:
            self._take(now_s)
            self._fill(now_s)

    def _fill(self, now_s: float) -> None:
        """Run the batcher until it sleeps."""
        self._timer_s = self._poll_s = _NEVER
        self._asleep_s = now_s
        while True:
            if self._is_saturated or self._current.is_stale:
                self._current, self._is_saturated, self._next_preferred = Payload(), False, 0
            if self._queue.size == 0:
                return
            if not self._has_slot():
                self._poll_s = now_s + _POLL_S
                return
            if not self._move(now_s):
                return

    def _has_slot(self) -> bool:
        """Whether the batcher may put another payload in line."""
        waiting = len(self._line)
        return waiting < self._line_limit if self._has_prefetch else waiting < len(self._idle)

    def _move(self, now_s: float) -> bool:
        """Move requests from the queue to the current payload; False when the batcher sleeps instead."""
        payload = self._current
        pending, best, must_send = self._pending(now_s)
        rows = payload.rows + sum(request.rows for request in pending)
        oldest_s = min((request.enqueued_s for request in pending), default=-_NEVER)
        is_due = self._delay_s > 0.0 and now_s >= oldest_s + self._delay_s
        if best and not is_due:
            pending = pending[:best]
            self._is_saturated = self._is_saturated or self._delay_s == 0.0
        elif not pending:
            return self._is_saturated
        elif must_send or rows >= self._preferred[-1]:
            self._is_saturated = True
        elif not is_due and self._delay_s > 0.0:
            self._next_preferred = self._preferred_above(rows) - payload.rows
            if payload.rows == 0 or payload.rows in self._preferred:
                closest_s = min(request.expires_s for request in pending)
                self._timer_s = min(oldest_s + self._delay_s, closest_s + _TICK_S)
                return False
        if not payload.requests:
            self._line.append(payload)
        payload.take(pending)
        self._queue.remove(len(pending))
        return True

    def _pending(self, now_s: float) -> tuple[list[QueuedRequest], int, bool]:
        """What the current payload could take of the queue.

        Also how many of these reach a preferred size (0: none does), and whether more could not join: then nothing is
        to be waited for.
        """
        payload, largest = self._current, self._preferred[-1]
        pending: list[QueuedRequest] = []
        rows, best = payload.rows, 0
        for request in self._queue.candidates(now_s):
            if not rows:
                payload.axis_size = request.axis_size
            else:
                if rows + request.rows > largest and best == 0:
                    best = len(pending)
                    self._is_saturated = True
                if rows + request.rows > self._maximum:
                    return pending, best, True
                if self._looks_at_shapes and request.axis_size != payload.axis_size:
                    payload.is_marked = True
                    return pending, best, True
            pending.append(request)
            rows += request.rows
            if rows in self._preferred:
                best = len(pending)
        return pending, best, False

    def _preferred_above(self, rows: int) -> int:
        return next((size for size in self._preferred if size > rows), self._preferred[0])

    def _take(self, now_s: float) -> None:
        """The instance that has been idle for longest takes the first payload, merged with overdue ones that fit."""
        payload = self._line.popleft()
        payload.is_stale = True
        while self._delay_s > 0.0 and self._line and not payload.is_marked:
            following = self._line[0]
            if following.is_marked or now_s - following.oldest_s <= self._delay_s:
                break
            following.is_stale = True
            has_shape = not self._looks_at_shapes or following.axis_size == payload.axis_size
            if payload.rows + following.rows > self._maximum or not has_shape:
                break
            payload.take(following.requests)
            self._line.popleft()
        group, idle_since_s = self._idle.popleft()
        seconds = self._execute(now_s, group, payload.requests, idle_since_s < now_s)
        if seconds < _NEVER:
            self._started += 1
            heapq.heappush(self._busy, (now_s + seconds, self._started, group))
