"""The blocks of a KV cache that never runs out: only the shared prefix can be found again, and may be evicted.

It does what `BlockPool` does where no request is preempted. Then freed blocks have no owner that comes back: of a part
of the prefix that nobody uses it is enough to know how many free blocks are taken before it.
"""

from collections import Counter
from dataclasses import dataclass

from infc.sim.continuous_batching.blocks import Hit


@dataclass
class _Unused:
    """`count` blocks of the prefix that nobody uses; `mark` less the clock are the free blocks taken before them."""

    count: int
    mark: int


class PrefixPool:
    """The blocks of one replica. `free` counts those that can be taken, cached content or not."""

    __slots__ = ("_chain", "_clock", "_holders", "_unused", "_used", "free")

    def __init__(self, blocks: int) -> None:
        self.free = blocks
        self._clock = 0  # blocks taken, less those that were freed without content: they are taken first
        self._chain = 0  # blocks of the prefix that are cached, the first `_used` of them held by requests
        self._used = 0
        self._unused: list[_Unused] = []  # in the order of eviction; the last ones are the start of the prefix
        self._holders: Counter[int] = Counter()

    def take(self, count: int) -> None:
        """Take `count` free blocks; the caller has checked that there are as many."""
        self.free -= count
        self._clock += count
        while self._unused and self._unused[0].mark < self._clock:
            first = self._unused[0]
            evicted = min(first.count, self._clock - first.mark)
            first.count -= evicted
            first.mark += evicted
            self._chain -= evicted
            if first.count:
                return
            del self._unused[0]

    def find(self, shared_limit: int, limit: int) -> Hit:
        """What the cache holds of a request's sequence: up to `shared_limit` blocks of the prefix, `limit` in all."""
        shared = min(self._chain, shared_limit, limit)
        return Hit(shared, 0, max(shared - self._used, 0))

    def use(self, hit: Hit) -> None:
        """Hold the blocks of a hit."""
        if not hit.shared:
            return
        from_unused = hit.queued
        while from_unused:
            last = self._unused[-1]
            taken = min(from_unused, last.count)
            last.count -= taken
            from_unused -= taken
            if not last.count:
                self._unused.pop()
        self._hold(hit.shared)
        self.free -= hit.queued

    def extend(self, held: int, computed: int) -> int:
        """Let a request that holds `held` blocks of the prefix and has computed `computed` of it share the new ones.

        Returns: how many blocks of the prefix it holds now; unchanged where another request was first.
        """
        if computed <= self._chain or held < self._chain:
            return held
        if held:
            self._let_go(held)
        self._chain = computed
        self._hold(computed)
        return computed

    def release(self, blocks: int, full: int, shared: int) -> None:
        """Free the `blocks` of a request, `full` of them full, the first `shared` of them the prefix."""
        self._clock -= blocks - full
        self.free += blocks - shared
        if shared:
            self._let_go(shared)
            if unused := max(shared - self._used, 0):
                self._unused.append(_Unused(unused, self.free + self._clock))
                self.free += unused

    def _hold(self, shared: int) -> None:
        self._holders[shared] += 1
        self._used = max(self._used, shared)

    def _let_go(self, shared: int) -> None:
        self._holders[shared] -= 1
        if not self._holders[shared]:
            del self._holders[shared]
            if shared == self._used:
                self._used = max(self._holders, default=0)
