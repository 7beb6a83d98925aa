"""Triton's scheduler queue: priority levels, timeouts and limits, as its `ModelQueuePolicy` states them.

Source: Triton core r24.10, scheduler_utils (PriorityQueue) and infer_request (SetPriority).
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

TimeoutAction: TypeAlias = Literal["reject", "delay"]


@dataclass(frozen=True, kw_only=True)
class QueuePolicy:
    """What becomes of the requests of one priority level that wait.

    `timeout_s` 0: no timeout. A request whose time is over is rejected, or served after all others of its level
    (`delay`). A request's own timeout counts only where it is shorter than `timeout_s`, so never without one.
    `max_queue_size` 0: no limit; a request that finds so many of its level waiting is rejected at once.
    """

    timeout_s: float = 0.0
    timeout_action: TimeoutAction = "reject"
    allows_own_timeout: bool = False
    max_queue_size: int = 0

    def expires_s(self, now_s: float, own_timeout_s: float) -> float:
        """When a request that joins now runs out of time; infinite without a timeout."""
        timeout_s = self.timeout_s
        if self.allows_own_timeout and 0.0 < own_timeout_s < timeout_s:
            timeout_s = own_timeout_s
        return now_s + timeout_s if timeout_s > 0.0 else math.inf

    @property
    def is_idle(self) -> bool:
        """Whether the policy can do nothing."""
        return self.timeout_s == 0.0 and not self.allows_own_timeout and self.max_queue_size == 0


@dataclass(frozen=True, kw_only=True)
class QueueRules:
    """The policies of a model. Level 1 is served first; `levels` 0 means that priorities are ignored.

    Requests with no priority, or one beyond the levels, get `default_level`.
    """

    policy: QueuePolicy = QueuePolicy()
    levels: int = 0
    default_level: int = 0
    by_level: Mapping[int, QueuePolicy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for levels that a model configuration could not have."""
        if self.levels < 0 or any(not 1 <= level <= self.levels for level in self.by_level):
            raise ValueError("policies belong to levels from 1 to the number of levels")
        if not (1 <= self.default_level <= self.levels or self.default_level == self.levels == 0):
            raise ValueError("the default level is one of the levels")

    @property
    def allows_prefetch(self) -> bool:
        """Whether the batcher may form batches ahead of free instances: only without levels and policies."""
        return self.levels == 0 and self.policy.is_idle

    def level_of(self, priority: int) -> int:
        """The level of a request that asks for `priority`."""
        if self.levels == 0:
            return 0
        return priority if 1 <= priority <= self.levels else self.default_level

    def policy_of(self, level: int) -> QueuePolicy:
        """The policy of a level."""
        return self.by_level.get(level, self.policy)


NO_RULES = QueueRules()


class QueuedRequest:
    """A request in a scheduler: which one, how large, since when, until when."""

    __slots__ = ("axis_size", "enqueued_s", "expires_s", "index", "own_timeout_s", "priority", "rows")

    def __init__(self, index: int, rows: int, axis_size: int, priority: int, own_timeout_s: float) -> None:
        self.index = index
        self.rows = rows
        self.axis_size = axis_size
        self.priority = priority
        self.own_timeout_s = own_timeout_s
        self.enqueued_s = 0.0
        self.expires_s = math.inf


class _Level:
    """Waiting requests of one priority level."""

    __slots__ = ("delayed", "policy", "waiting")

    def __init__(self, policy: QueuePolicy) -> None:
        self.policy = policy
        self.waiting: deque[QueuedRequest] = deque()
        self.delayed: deque[QueuedRequest] = deque()

    def __len__(self) -> int:
        return len(self.waiting) + len(self.delayed)


class RequestQueue:
    """The queue of one scheduler, in the order of service. `rejected` collects those whose time was over."""

    def __init__(self, rules: QueueRules) -> None:
        self._rules = rules
        self._levels: dict[int, _Level] = {}
        self._order: list[_Level] = []
        self.size = 0
        self.rows = 0
        self.rejected: list[QueuedRequest] = []

    def enqueue(self, request: QueuedRequest, now_s: float) -> bool:
        """Let a request wait; False when its level is full."""
        number = self._rules.level_of(request.priority)
        level = self._levels.get(number)
        if level is None:
            level = self._levels[number] = _Level(self._rules.policy_of(number))
            self._order = [self._levels[each] for each in sorted(self._levels)]
        policy = level.policy
        if 0 < policy.max_queue_size <= len(level):
            return False
        request.enqueued_s = now_s
        request.expires_s = policy.expires_s(now_s, request.own_timeout_s)
        level.waiting.append(request)
        self.size += 1
        self.rows += request.rows
        return True

    def candidates(self, now_s: float) -> Iterator[QueuedRequest]:
        """Requests in the order of service; those whose time is over are put off or rejected on the way."""
        for level in self._order:
            index = 0
            waiting = level.waiting
            while True:
                while index < len(waiting) and waiting[index].expires_s < now_s:
                    self._expire(level, index)
                if index < len(waiting):
                    yield waiting[index]
                elif index - len(waiting) < len(level.delayed):
                    yield level.delayed[index - len(waiting)]
                else:
                    break
                index += 1

    def remove(self, count: int) -> None:
        """Take out the first `count` candidates."""
        self.size -= count
        for level in self._order:
            while count and len(level):
                request = level.waiting.popleft() if level.waiting else level.delayed.popleft()
                self.rows -= request.rows
                count -= 1

    def reject_expired(self, now_s: float) -> None:
        """Reject every request whose time is over, where that is the policy."""
        for level in self._order:
            if level.policy.timeout_action == "reject":
                for index in range(len(level.waiting) - 1, -1, -1):
                    if level.waiting[index].expires_s < now_s:
                        self._expire(level, index)

    def _expire(self, level: _Level, index: int) -> None:
        request = level.waiting[index]
        del level.waiting[index]
        if level.policy.timeout_action == "delay":
            request.expires_s = math.inf
            level.delayed.append(request)
        else:
            self.size -= 1
            self.rows -= request.rows
            self.rejected.append(request)
