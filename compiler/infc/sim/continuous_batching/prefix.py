"""The blocks of a KV cache that never runs out: only the shared prefix can be found again, and may be evicted.

It does what `BlockPool` does where no request is preempted. Then freed blocks have no owner that comes back: of a part
of the prefix that nobody uses it is enough to know how many free blocks are taken before it.
"""

from dataclasses import dataclass


@dataclass
class _Unused:
    """`count` blocks of the prefix that nobody uses; `mark` less the clock are the free blocks taken before them."""

    count: int
    mark: int


class PrefixPool:
    """The blocks of one replica. `free` counts those that can be taken, cached content or not.

    Free blocks that are taken between two calls are told with the next one (`taken`): nothing looks at them before.
    """

    __slots__ = ("_chain", "_clock", "_holders", "_unused", "_used", "free")

    def __init__(self, blocks: int) -> None:
        self.free = blocks
        self._clock = 0  # blocks taken, less those that were freed without content: they are taken first
        self._chain = 0  # blocks of the prefix that are cached, the first `_used` of them held by requests
        self._used = 0
        self._unused: list[_Unused] = []  # in the order of eviction; the last ones are the start of the prefix
        self._holders: dict[int, int] = {}  # how many hold so many blocks

    def find(self, taken: int, limit: int) -> tuple[int, int]:
        """Blocks of the prefix, up to `limit`, that the cache holds, and how many of them nobody uses."""
        self.free -= taken
        self._clock += taken
        if self._unused and self._unused[0].mark < self._clock:
            self._evict()
        shared = limit if limit < self._chain else self._chain
        return shared, (shared - self._used if shared > self._used else 0)

    def admit(self, shared: int, unused: int, taken: int, computed: int) -> int:
        """Hold what was found, take free blocks, and share what is computed of the prefix (0: none of it).

        Returns: how many blocks of the prefix the request holds.
        """
        if shared:
            from_unused = unused
            while from_unused:
                last = self._unused[-1]
                some = min(from_unused, last.count)
                last.count -= some
                from_unused -= some
                if not last.count:
                    self._unused.pop()
            self._holders[shared] = self._holders.get(shared, 0) + 1
            if shared > self._used:
                self._used = shared
            self.free -= unused
        return self.extend(taken, shared, computed)

    def extend(self, taken: int, held: int, computed: int) -> int:
        """Let a request that holds `held` blocks of the prefix and has computed `computed` of it share the new ones.

        Returns: how many blocks of the prefix it holds now; unchanged where another request was first.
        """
        self.free -= taken
        self._clock += taken
        if self._unused and self._unused[0].mark < self._clock:
            self._evict()
        if computed <= self._chain or held < self._chain:
            return held
        if held:
            self._let_go(held)
        self._chain = computed
        self._holders[computed] = self._holders.get(computed, 0) + 1
        if computed > self._used:
            self._used = computed
        return computed

    def release(self, taken: int, blocks: int, full: int, shared: int) -> None:
        """Free the `blocks` of a request, `full` of them full, the first `shared` of them the prefix."""
        self._clock += taken
        if self._unused and self._unused[0].mark < self._clock:
            self._evict()
        self._clock -= blocks - full
        self.free += blocks - shared - taken
        if shared:
            self._let_go(shared)
            if shared > self._used:
                self._unused.append(_Unused(shared - self._used, self.free + self._clock))
                self.free += shared - self._used

    def _evict(self) -> None:
        """Parts of the prefix that nobody uses go in their order, as the blocks before them were taken."""
        while self._unused and self._unused[0].mark < self._clock:
            first = self._unused[0]
            evicted = min(first.count, self._clock - first.mark)
            first.count -= evicted
            first.mark += evicted
            self._chain -= evicted
            if first.count:
                return
            del self._unused[0]

    def _let_go(self, shared: int) -> None:
        left = self._holders[shared] - 1
        if left:
            self._holders[shared] = left
        else:
            del self._holders[shared]
            if shared == self._used:
                self._used = max(self._holders, default=0)
