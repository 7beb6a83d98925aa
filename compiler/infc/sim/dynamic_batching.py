"""Triton's dynamic batcher: latencies of single-row requests that share a model's instances, first come, first served.

Two implementations of one behaviour. `_simulate_textbook` is exact where the batcher is the textbook one: a free
instance takes what waits, up to the maximum, at the latest when the oldest request has waited for the queue delay.
`sim.prefetching` follows the events of the real batcher, which differs when it forms batches ahead of free instances
under a queue delay.
"""

import heapq
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infc.ir.candidate import DynamicBatching
from infc.sim.arrivals import Times
from infc.sim.greedy import serve_greedily
from infc.sim.overhead import NO_OVERHEAD, ServerOverhead
from infc.sim.percentile import percentiles
from infc.sim.prefetching import simulate_prefetching


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingResult:
    """What happened to each request, in order of arrival, and to the instances.

    `latency_s` is from arrival to answer, `queue_s` from arrival to the start of its execution: float64[requests].
    `batch_sizes` counts executions by batch size. `utilization` is the busy share of all instances between 0 and the
    last answer at `end_s`.
    """

    latency_s: npt.NDArray[np.float64]
    queue_s: npt.NDArray[np.float64]
    batch_sizes: Mapping[int, int]
    utilization: float
    end_s: float

    @property
    def mean_batch_size(self) -> float:
        """Requests per execution."""
        return len(self.latency_s) / sum(self.batch_sizes.values())

    @property
    def throughput_rps(self) -> float:
        """Answers per second between 0 and the last answer; approaches the capacity when the load exceeds it."""
        return len(self.latency_s) / self.end_s

    def percentiles_s(self, asked: Sequence[float]) -> tuple[float, ...]:
        """Nearest-rank percentiles (0-100) of the latency."""
        return percentiles(self.latency_s, asked)


def simulate(
    arrivals_s: Times,
    service_s: Sequence[float],
    batching: DynamicBatching,
    instances: int,
    *,
    has_dynamic_shapes: bool = False,
    overhead: ServerOverhead = NO_OVERHEAD,
) -> BatchingResult:
    """Serve requests that arrive at `arrivals_s` (ascending, from 0 on) on `instances` equal instances.

    `service_s[b-1]` is how long a batch of b keeps an instance busy, for b up to the maximum batch size at least. Same
    arguments, same result. 20,000 requests take 2 to 10 ms, or 50 ms where the batcher is not the textbook one.

    `has_dynamic_shapes`: an input has a dimension of -1 besides the batch (a sequence length), which makes the real
    batcher look at every request when it arrives. All requests are still of one shape: others would split batches.

    Raises:
        ValueError: no request, no instance, arrivals out of order, or a batch size without a service time.

    Source: Triton core r24.10, dynamic_batch_scheduler, rate_limiter and instance_queue.

    >>> result = simulate(np.array([0.0, 0.1, 0.2]), [1.0, 1.5], DynamicBatching(max_batch_size=2), 1)
    >>> result.latency_s, dict(result.batch_sizes)
    (array([1. , 2.4, 2.3]), {1: 1, 2: 1})
    """
    _require_valid(arrivals_s, service_s, batching, instances)
    busy_s = [
        seconds + overhead.execution_s + overhead.request_s * (index + 1)
        for index, seconds in enumerate(service_s[: batching.max_batch_size])
    ]
    if batching.max_batch_size == 1 and overhead.dispatch_s == 0.0:
        starts_s = _fifo_starts_s(arrivals_s, busy_s[0] + overhead.idle_s, instances)
        sizes = np.ones(len(arrivals_s), dtype=np.int64)
    elif instances == 1 and overhead.dispatch_s == batching.max_queue_delay_s == 0.0 and is_textbook(batching):
        occupied_s = [seconds + overhead.idle_s for seconds in busy_s]
        batch_starts, sizes = serve_greedily(arrivals_s, occupied_s, batching.max_batch_size)
        starts_s = np.repeat(batch_starts, sizes)
    else:
        times_s = arrivals_s.tolist()
        if is_textbook(batching):
            batch_starts_s, batch_sizes = _simulate_textbook(times_s, busy_s, batching, instances, overhead)
        else:
            batch_starts_s, batch_sizes = simulate_prefetching(
                times_s, busy_s, batching, instances, overhead, has_dynamic_shapes
            )
        sizes = np.asarray(batch_sizes, dtype=np.int64)
        starts_s = np.repeat(np.asarray(batch_starts_s), sizes)
    return _result(arrivals_s, starts_s, sizes, np.asarray(busy_s), instances, overhead)


def is_textbook(batching: DynamicBatching) -> bool:
    """Whether the real batcher is the textbook one: greedy, or forming batches only while an instance is free."""
    has_own_preferred = any(size != batching.max_batch_size for size in batching.preferred_batch_sizes)
    is_at_once = batching.max_queue_delay_s == 0.0 or not batching.has_prefetch
    return batching.max_batch_size == 1 or (is_at_once and not has_own_preferred)


def _require_valid(arrivals_s: Times, service_s: Sequence[float], batching: DynamicBatching, instances: int) -> None:
    if len(arrivals_s) == 0:
        raise ValueError("no request to simulate")
    if instances < 1 or batching.max_batch_size < 1:
        raise ValueError("at least one instance and a batch size of one are needed")
    if len(service_s) < batching.max_batch_size:
        raise ValueError(
            f"service times for {len(service_s)} batch sizes, but batches go up to {batching.max_batch_size}"
        )
    if min(service_s) <= 0.0:
        raise ValueError("a service time must be positive")
    if arrivals_s[0] < 0.0 or np.any(np.diff(arrivals_s) < 0.0):
        raise ValueError("arrivals must ascend from 0 on")
    if any(not 1 <= size <= batching.max_batch_size for size in batching.preferred_batch_sizes):
        raise ValueError("a preferred batch size lies between 1 and the maximum batch size")


def _fifo_starts_s(
    arrivals_s: Times, occupied_s: float | npt.NDArray[np.float64], instances: int
) -> npt.NDArray[np.float64]:
    """When each request starts, one at a time, on an instance that each occupies for `occupied_s`.

    With equal times requests finish in order, so that they take the instances in turn. With one instance, times may
    differ: float64[requests].

    Source: Lindley's recursion, solved as a running maximum.
    """
    starts_s = np.empty_like(arrivals_s)
    for instance in range(instances):
        own = arrivals_s[instance::instances]
        times = np.broadcast_to(np.asarray(occupied_s, dtype=np.float64), own.shape)
        before_s = np.concatenate(([0.0], np.cumsum(times)[:-1]))
        starts_s[instance::instances] = np.maximum(before_s + np.maximum.accumulate(own - before_s), own)
    return starts_s


def _simulate_textbook(
    arrivals_s: list[float], busy_s: list[float], batching: DynamicBatching, instances: int, overhead: ServerOverhead
) -> tuple[list[float], list[int]]:
    """Start and size of every batch, in order of start."""
    maximum = batching.max_batch_size
    occupied_s = [seconds + overhead.idle_s for seconds in busy_s]
    times_s = [*arrivals_s, *[math.inf] * maximum]  # so that no index is out of range, and nothing waits at the end
    if maximum == 1 or batching.max_queue_delay_s == 0.0:
        return _serve_at_once(times_s, occupied_s, maximum, instances, overhead.dispatch_s)
    return _serve_delayed(times_s, occupied_s, batching, instances, overhead.dispatch_s)


def _serve_at_once(
    arrivals_s: list[float], occupied_s: list[float], maximum: int, instances: int, dispatch_s: float
) -> tuple[list[float], list[int]]:
    """As `_simulate_textbook` without a delay; after the arrivals stand `maximum` infinite times."""
    count, replace_first = len(arrivals_s) - maximum, heapq.heapreplace
    free_s = [-math.inf] * instances
    starts_s: list[float] = []
    sizes: list[int] = []
    head = 0
    while head < count:
        start_s, size = arrivals_s[head], 1
        if free_s[0] < start_s:
            start_s += dispatch_s  # an idle instance takes the first at once, even of requests that arrive together
        else:
            start_s = free_s[0]
            if arrivals_s[head + 1] <= start_s:
                full = head + maximum
                size = maximum
                if arrivals_s[full - 1] > start_s:
                    size = bisect_right(arrivals_s, start_s, head + 1, full) - head
        replace_first(free_s, start_s + occupied_s[size - 1])
        starts_s.append(start_s)
        sizes.append(size)
        head += size
    return starts_s, sizes


def _serve_delayed(
    arrivals_s: list[float], occupied_s: list[float], batching: DynamicBatching, instances: int, dispatch_s: float
) -> tuple[list[float], list[int]]:
    """As `_simulate_textbook` with a delay: a free instance waits for a full batch, at most until the delay is over."""
    maximum, delay_s = batching.max_batch_size, batching.max_queue_delay_s
    count, replace_first = len(arrivals_s) - maximum, heapq.heapreplace
    free_s = [-math.inf] * instances
    starts_s: list[float] = []
    sizes: list[int] = []
    head = 0
    while head < count:
        oldest_s = arrivals_s[head]
        due_s, full_s = oldest_s + delay_s, arrivals_s[head + maximum - 1]
        start_s = free_s[0] if free_s[0] > oldest_s else oldest_s
        if start_s < due_s:
            latest_s = full_s if full_s < due_s else due_s
            start_s = latest_s if latest_s > start_s else start_s
        size = 1
        if full_s <= start_s:
            size = maximum
        elif arrivals_s[head + 1] <= start_s:
            size = bisect_right(arrivals_s, start_s, head + 1, head + maximum) - head
        if free_s[0] < start_s:
            start_s += dispatch_s
        replace_first(free_s, start_s + occupied_s[size - 1])
        starts_s.append(start_s)
        sizes.append(size)
        head += size
    return starts_s, sizes


def _result(
    arrivals_s: Times,
    starts_s: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    busy_s: npt.NDArray[np.float64],
    instances: int,
    overhead: ServerOverhead,
) -> BatchingResult:
    busy_of_batch_s = busy_s[sizes - 1]
    answers_s = starts_s + np.repeat(busy_of_batch_s, sizes) + overhead.transport_s
    if overhead.response_s > 0.0:
        still_to_answer = np.repeat(np.cumsum(sizes), sizes) - 1 - np.arange(len(arrivals_s))
        answers_s -= still_to_answer * overhead.response_s
    end_s = float(answers_s.max())
    counts = np.bincount(sizes).tolist()
    return BatchingResult(
        latency_s=answers_s - arrivals_s,
        queue_s=starts_s - arrivals_s,
        batch_sizes={size: number for size, number in enumerate(counts) if number},
        utilization=float(busy_of_batch_s.sum()) / (instances * end_s),
        end_s=end_s,
    )
