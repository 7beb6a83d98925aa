"""The textbook batcher without a queue delay on one instance: many stretches of requests served at a time.

The instance takes what waits whenever it gets free, and a request that finds it idle alone. Where a batch never takes
longer than its requests one by one, it is never behind a server that batches nothing: wherever that one would be idle,
it is too. Such places cut the requests into stretches that do not depend on each other, which advance in step.
"""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from infc.sim.arrivals import Times

Sizes = npt.NDArray[np.int64]
_MARGIN = 1e-9
"""Rounding of the running sums, as a share of the time that they reach."""
_FEWEST = 64
"""Stretches that are worth a step together: fewer are served one after the other."""


def serve_greedily(arrivals_s: Times, occupied_s: list[float], maximum: int) -> tuple[Times, Sizes]:
    """Start and size of every batch, in order of start.

    `occupied_s[b-1]` is how long a batch of b keeps the instance, for b up to `maximum`.

    >>> starts_s, sizes = serve_greedily(np.array([0.0, 0.1, 0.2, 9.0]), [1.0, 1.5], 2)
    >>> starts_s.tolist(), sizes.tolist()
    ([0.0, 1.0, 9.0], [1, 2, 1])
    """
    count = len(arrivals_s)
    starts_s, sizes = np.zeros(count), np.zeros(count, dtype=np.int64)  # at the first request of each batch
    occupied = np.array(occupied_s)
    head = _stretches(arrivals_s, occupied)
    end = np.append(head[1:], count)
    free_s = np.full(len(head), -np.inf)
    while len(head) >= _FEWEST:
        oldest_s = arrivals_s[head]
        start_s = np.maximum(free_s, oldest_s)
        size = np.clip(np.searchsorted(arrivals_s, start_s, side="right") - head, 1, maximum)
        size[free_s < oldest_s] = 1
        starts_s[head], sizes[head] = start_s, size
        head, free_s = head + size, start_s + occupied[size - 1]
        goes_on = head < end
        head, end, free_s = head[goes_on], end[goes_on], free_s[goes_on]
    if len(head):
        times_s = arrivals_s.tolist()
        for first, last, free in zip(head.tolist(), end.tolist(), free_s.tolist(), strict=True):
            _serve_stretch(times_s, occupied_s, maximum, (first, last, free), starts_s, sizes)
    heads = np.flatnonzero(sizes)
    return starts_s[heads], sizes[heads]


def _stretches(arrivals_s: Times, occupied_s: Times) -> Sizes:
    """The first request of each stretch: the instance is surely idle when it arrives."""
    sizes = np.arange(1, len(occupied_s) + 1)
    if np.any(occupied_s > occupied_s[0] * sizes * (1 + _MARGIN)):
        return np.zeros(1, dtype=np.int64)
    before_s = occupied_s[0] * np.arange(len(arrivals_s))
    idle_until_s = np.maximum.accumulate(arrivals_s - before_s)
    free_s = idle_until_s[:-1] + before_s[1:]  # when a server without batches is done with all before
    later: Sizes = np.flatnonzero(arrivals_s[1:] > free_s * (1 + _MARGIN)) + 1
    return np.concatenate((np.zeros(1, dtype=np.int64), later))


def _serve_stretch(
    arrivals_s: list[float],
    occupied_s: list[float],
    maximum: int,
    stretch: tuple[int, int, float],
    starts_s: Times,
    sizes: Sizes,
) -> None:
    """Serve the requests from `stretch`'s first to before its last, on an instance that is free from its time on."""
    head, end, free_s = stretch
    heads: list[int] = []
    found_s: list[float] = []
    found: list[int] = []
    while head < end:
        start_s, size = arrivals_s[head], 1
        if free_s >= start_s:
            start_s = free_s
            if head + 1 < end and arrivals_s[head + 1] <= start_s:
                full = head + maximum
                if full <= end and arrivals_s[full - 1] <= start_s:
                    size = maximum
                else:
                    size = bisect_right(arrivals_s, start_s, head + 1, min(full, end)) - head
        heads.append(head)
        found_s.append(start_s)
        found.append(size)
        free_s = start_s + occupied_s[size - 1]
        head += size
    starts_s[heads], sizes[heads] = found_s, found
