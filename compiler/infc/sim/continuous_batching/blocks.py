"""The blocks of a KV cache: how many are free, and which freed ones still hold what a request could use again.

vLLM keeps freed blocks in a queue and takes new ones from its front. Blocks without a hash (the last, partly filled
one of a sequence, or all of them without prefix caching) go to the front, full ones to the end, the last tokens of a
sequence first: they are evicted before the start that others may share. Only numbers of blocks matter here, so that
the queue holds runs of blocks of one owner.

Source: vLLM 0.32, v1/core/block_pool.py and kv_cache_manager.py.
"""

from collections import Counter, deque
from dataclasses import dataclass

_NOBODY = -1


@dataclass
class _Run:
    """`count` freed blocks of one preempted request, from the `start`-th of its sequence on; or of nobody."""

    owner: int
    count: int
    start: int = 0


@dataclass(frozen=True)
class Hit:
    """Blocks at the start of a sequence that the cache holds: of the shared prefix, then the request's own.

    `queued` of them are free, so that using them takes them from the free ones.
    """

    shared: int
    own: int
    queued: int

    @property
    def blocks(self) -> int:
        """All of them."""
        return self.shared + self.own


NO_HIT = Hit(0, 0, 0)


class BlockPool:
    """The blocks of one replica. `free` counts those that can be taken, cached content or not."""

    __slots__ = ("_blank", "_chain", "_chain_runs", "_has_caching", "_holders", "_queue", "_retained", "_used", "free")

    def __init__(self, blocks: int, *, has_caching: bool) -> None:
        self.free = blocks
        self._blank = blocks
        self._has_caching = has_caching
        self._queue: deque[_Run] = deque()
        self._retained: dict[int, _Run] = {}
        # The shared prefix is one chain of blocks: `_chain` are cached, the first `_used` of them held by requests.
        self._chain = 0
        self._used = 0
        self._chain_runs: list[_Run] = []
        self._holders: Counter[int] = Counter()

    def take(self, count: int) -> None:
        """Take `count` free blocks; the caller has checked that there are as many."""
        self.free -= count
        from_blank = min(count, self._blank)
        self._blank -= from_blank
        count -= from_blank
        while count:
            run = self._queue[0]
            taken = min(count, run.count)
            run.count -= taken
            count -= taken
            if run.owner == _CHAIN:
                self._chain -= taken
            if run.count == 0:
                self._queue.popleft()

    def find(self, request: int, shared_limit: int, limit: int) -> Hit:
        """What the cache holds of a request's sequence: up to `shared_limit` blocks of the prefix, `limit` in all."""
        if not self._has_caching:
            return NO_HIT
        shared = min(self._chain, shared_limit, limit)
        run = self._retained.get(request)
        own = 0
        if run is not None and shared >= run.start:
            own = max(min(run.start + run.count, limit) - shared, 0)
        return Hit(shared, own, own + max(shared - self._used, 0))

    def use(self, request: int, hit: Hit) -> None:
        """Hold the blocks of a hit."""
        run = self._retained.pop(request, None)
        if run is not None:
            run.count -= hit.own
            run.owner = _NOBODY
        if hit.shared:
            from_queue = max(hit.shared - self._used, 0)
            while from_queue:
                last = self._chain_runs[-1]
                taken = min(from_queue, last.count)
                last.count -= taken
                from_queue -= taken
                if last.count == 0:
                    self._chain_runs.pop()
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

    def release(self, request: int, blocks: int, full: int, shared: int, *, is_coming_back: bool) -> None:
        """Free the `blocks` of a request, `full` of them full, the first `shared` of them the prefix."""
        if not self._has_caching:
            full = shared = 0
        self._blank += blocks - full
        self.free += blocks - shared
        own = full - shared
        if own:
            if is_coming_back:
                self._retained[request] = run = _Run(request, own, shared)
                self._queue.append(run)
            elif self._queue and self._queue[-1].owner == _NOBODY:
                self._queue[-1].count += own
            else:
                self._queue.append(_Run(_NOBODY, own))
        if shared:
            self._let_go(shared)
            if unused := max(shared - self._used, 0):
                self._queue.append(run := _Run(_CHAIN, unused))
                self._chain_runs.append(run)
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


_CHAIN = -2
