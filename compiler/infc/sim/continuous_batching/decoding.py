"""The sequences that decode, kept so that any number of steps costs the same.

Each gains one token in every step. Relative to a common counter of steps, what a sequence holds and when it ends do not
change, so that a stretch of steps only moves the counter and a few sums.
"""

import heapq

_NEVER = -1


class Decoding:
    """Sequences by request number. `count` of them decode; `context` is the sum of the tokens in their caches.

    `windowed` is that sum with each cut to `window_tokens`; `below_window` counts those that are shorter.
    """

    __slots__ = (
        "_base",
        "_block_tokens",
        "_crosses_at",
        "_crossings",
        "_ends",
        "_ends_at",
        "_phases",
        "_window_tokens",
        "below_window",
        "context",
        "count",
        "counter",
        "windowed",
    )

    def __init__(self, block_tokens: int, window_tokens: int | None) -> None:
        self.counter = 0
        self.count = 0
        self.context = 0
        self.windowed = 0
        self.below_window = 0
        self._block_tokens = block_tokens
        self._window_tokens = window_tokens
        self._base: dict[int, int] = {}  # tokens in the cache minus the counter
        self._ends_at: dict[int, int] = {}  # the counter after the last token
        self._phases = [0] * block_tokens  # how many need a block when the counter is at this phase
        self._ends: list[tuple[int, int]] = []
        self._crosses_at: dict[int, int] = {}  # the counter as the cache reaches the window
        self._crossings: list[tuple[int, int]] = []

    def __contains__(self, request: int) -> bool:
        return request in self._base

    def cached(self, request: int) -> int:
        """Tokens in the cache of one sequence."""
        return self._base[request] + self.counter

    def remaining(self, request: int) -> int:
        """Tokens that one sequence still has to make."""
        return self._ends_at[request] - self.counter

    def add(self, request: int, cached: int, remaining: int) -> None:
        """A sequence starts to decode, with so many tokens in its cache and so many to make (1 or more)."""
        base = self._base[request] = cached - self.counter
        end = self._ends_at[request] = self.counter + remaining
        heapq.heappush(self._ends, (end, request))
        self._phases[-base % self._block_tokens] += 1
        self.count += 1
        self.context += cached
        if self._window_tokens is not None:
            self.windowed += min(cached, self._window_tokens)
            if cached < self._window_tokens:
                self.below_window += 1
                at = self._crosses_at[request] = self._window_tokens - base
                heapq.heappush(self._crossings, (at, request))

    def remove(self, request: int) -> int:
        """A sequence no longer decodes. Returns: the tokens in its cache."""
        base = self._base.pop(request)
        del self._ends_at[request]
        cached = base + self.counter
        self._phases[-base % self._block_tokens] -= 1
        self.count -= 1
        self.context -= cached
        if self._window_tokens is not None:
            self.windowed -= min(cached, self._window_tokens)
            self.below_window -= self._crosses_at.pop(request, None) is not None
        return cached

    def advance(self, steps: int) -> None:
        """Every sequence makes `steps` tokens; none may end or reach the window before the last of them."""
        self.counter += steps
        self.context += steps * self.count
        if self._window_tokens is not None:
            self.windowed += steps * self.below_window
            self._pass_window()

    def pop_ended(self) -> list[tuple[int, int]]:
        """Remove the sequences that have made their last token. Returns: request and tokens in its cache, of each."""
        ended = []
        while self._ends and self._ends[0][0] <= self.counter:
            end, request = heapq.heappop(self._ends)
            if self._ends_at.get(request, _NEVER) == end:
                ended.append((request, self.remove(request)))
        return ended

    def steps_to_change(self) -> int:
        """Steps until the first sequence ends or reaches the window. At least one sequence must decode."""
        while self._ends_at.get(self._ends[0][1], _NEVER) != self._ends[0][0]:
            heapq.heappop(self._ends)
        steps = self._ends[0][0] - self.counter
        return min(steps, self._crossings[0][0] - self.counter) if self._crossings else steps

    def blocks_needed(self, steps: int = 1) -> int:
        """New blocks that the next `steps` steps need."""
        size, phases = self._block_tokens, self._phases
        at = self.counter % size
        if steps == 1:
            return phases[at]
        rounds, rest = divmod(steps, size)
        end = at + rest
        some = sum(phases[at:end]) if end <= size else sum(phases[at:]) + sum(phases[: end - size])
        return rounds * self.count + some

    def steps_within(self, limit: int, free_blocks: int) -> int:
        """The steps, up to `limit`, for which so many free blocks last."""
        size = self._block_tokens
        rounds, left = divmod(free_blocks, self.count)
        steps, at = rounds * size, self.counter % size
        while steps < limit and self._phases[at] <= left:
            left -= self._phases[at]
            at = (at + 1) % size
            steps += 1
        return min(steps, limit)

    def _pass_window(self) -> None:
        while self._crossings and self._crossings[0][0] <= self.counter:
            at, request = heapq.heappop(self._crossings)
            if self._crosses_at.get(request) == at:
                del self._crosses_at[request]
                self.below_window -= 1
