"""Percentiles of a candidate under load: the scheduler simulated under the spec's arrivals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from infc.ir.arrival import Arrival
from infc.ir.candidate import DynamicBatching
from infc.ir.interval import Interval
from infc.ir.problem import LatencyTarget, Problem
from infc.perf.server_cost import front_end_rps, request_handling_s
from infc.perf.work import FloatArray
from infc.plan.site import planned_axes
from infc.plan.space import Curves
from infc.sim.arrivals import arrival_times_s
from infc.sim.dynamic_batching import simulate

REQUESTS = 20_000
"""Fewest requests of a simulation that judges a percentile."""
MOST_REQUESTS = 200_000
QUICK_SHARE = 8
"""Simulations that only compare have this fraction of the requests."""
_BEYOND = 100
SEED = 2025
_FEWEST_TO_SPLIT = 10_000
WARM_UP = 200
"""First requests that are left out: the queue starts empty."""


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What the requests of one replica saw.

    `queue_and_service_s` is sorted; `handling_s` is what each request takes besides. Percentiles and means hold both.
    `mean_queue_s` is the mean time until an execution starts.
    """

    queue_and_service_s: FloatArray
    mean_queue_s: float
    mean_batch_size: float
    largest_batch: int
    utilization: float
    handling_s: float

    def percentile_s(self, percentile: float) -> float:
        """The latency that `percentile` percent of the requests do not exceed (nearest rank)."""
        count = len(self.queue_and_service_s)
        return float(self.queue_and_service_s[_rank(percentile, count) - 1]) + self.handling_s

    def mean_s(self) -> float:
        """Mean latency."""
        return float(self.queue_and_service_s.mean()) + self.handling_s

    def share_within(self, limit_s: float) -> float:
        """Share of requests that took at most `limit_s`."""
        known = self.queue_and_service_s
        return float(np.searchsorted(known, limit_s - self.handling_s, side="right")) / len(known)

    def slo_ratio(self, targets: Sequence[LatencyTarget]) -> float:
        """The worst percentile as a share of its limit: the SLO holds up to 1."""
        return max(self.percentile_s(target.percentile) / target.limit_s for target in targets)


def _rank(percentile: float, count: int) -> int:
    return min(max(int(np.ceil(percentile / 100.0 * count)), 1), count)


def requests_for(targets: Sequence[LatencyTarget]) -> int:
    """Requests that put at least a hundred beyond the highest percentile, within 20,000 and 200,000.

    >>> requests_for([LatencyTarget(percentile=99.9, limit_s=1.0)])
    100000
    """
    highest = max(target.percentile for target in targets)
    return min(MOST_REQUESTS, max(REQUESTS, round(_BEYOND / (1.0 - highest / 100.0))))


def loader_for(problem: Problem, curves: Curves | None = None) -> "Loader":
    """The full-size loader of a problem; `curves` are service times that are known already."""
    payload_bytes = _payload_bytes(problem)
    return Loader(
        problem.traffic.arrival,
        requests_for(problem.latency),
        handling=request_handling_s(payload_bytes),
        front_end_rps=front_end_rps(payload_bytes).value,
        has_dynamic_shapes=bool(problem.model.axes),
        curves=curves,
    )


def _payload_bytes(problem: Problem) -> float:
    """Inputs and outputs of one request of one item, at the planned sizes of the axes."""
    model = problem.model
    axes = {**planned_axes(problem), **({model.batch_axis: 1} if model.batch_axis else {})}
    return sum(tensor.bytes_at(axes) for tensor in (*model.inputs, *model.outputs))


class Loader:
    """Runs simulations and remembers them.

    Arrivals are drawn once at rate 1 and scaled to each asked rate, so that candidates are compared on the same
    traffic. `handling` is what each request takes besides queue and execution, `front_end_rps` how many requests one
    server takes in, whatever its device could do. `curves` are the service times of the places that are compared.
    """

    def __init__(
        self,
        arrival: Arrival,
        requests: int,
        *,
        handling: Interval,
        front_end_rps: float,
        has_dynamic_shapes: bool,
        curves: Curves | None = None,
    ) -> None:
        self.handling = handling
        self.front_end_rps = front_end_rps
        self._unit = arrival_times_s(arrival, 1.0, requests, SEED)
        self._results: dict[tuple[float, tuple[float, ...], DynamicBatching, int], LoadResult] = {}
        self.curves: Curves = {} if curves is None else curves
        self._hopeless: dict[tuple[object, ...], bool] = {}
        self._arrival = arrival
        self._requests = requests
        self._has_dynamic_shapes = has_dynamic_shapes
        self._shorter: Loader | None = None

    @property
    def shorter(self) -> "Loader":
        """A loader of the same arrival process with fewer requests; one, so that its results are remembered."""
        if self._shorter is None:
            self._shorter = Loader(
                self._arrival,
                self._requests // QUICK_SHARE,
                handling=self.handling,
                front_end_rps=self.front_end_rps,
                has_dynamic_shapes=self._has_dynamic_shapes,
            )
        return self._shorter

    def run(self, rate_rps: float, service_s: Sequence[float], batching: DynamicBatching, instances: int) -> LoadResult:
        """One replica under `rate_rps`; `service_s` is seconds by batch size, from 1 to at least `max_batch_size`."""
        curve = tuple(service_s[: batching.max_batch_size])
        key = (rate_rps, curve, batching, instances)
        known = self._results.get(key) or self._wider(rate_rps, curve, batching, instances)
        if known is None:
            known = self._simulate(rate_rps, curve, batching, instances)
        self._results[key] = known
        return known

    def surely_misses(
        self,
        rate_rps: float,
        service_s: Sequence[float],
        batching: DynamicBatching,
        instances: int,
        targets: Sequence[LatencyTarget],
    ) -> bool:
        """Whether the first requests of a run are enough to say that `run` misses a target.

        They are when more of them are late than may be among all. What starts before the last of them arrives is
        served just as in the whole run, which a scheduler that cannot see ahead does not change.
        """
        count = len(self._unit)
        curve = tuple(service_s[: batching.max_batch_size])
        if count < _FEWEST_TO_SPLIT or (rate_rps, curve, batching, instances) in self._results:
            return False
        key = (rate_rps, curve, batching, instances, *((t.percentile, t.limit_s) for t in targets))
        if key not in self._hopeless:
            first_s = self._unit[: count // QUICK_SHARE] / rate_rps
            result = simulate(first_s, curve, batching, instances, has_dynamic_shapes=self._has_dynamic_shapes)
            is_settled = first_s + result.queue_s <= first_s[-1]
            known_s = result.latency_s[WARM_UP:][is_settled[WARM_UP:]] + self.handling.value
            judged = count - WARM_UP
            self._hopeless[key] = any(
                int((known_s / target.limit_s > 1.0).sum()) > judged - _rank(target.percentile, judged)
                for target in targets
            )
        return self._hopeless[key]

    def _wider(
        self, rate_rps: float, curve: tuple[float, ...], batching: DynamicBatching, instances: int
    ) -> LoadResult | None:
        """The same run with a larger limit on the batch, where no batch went beyond this one: it is equal."""
        if batching.max_queue_delay_s > 0.0:
            return None
        size = batching.max_batch_size
        for (rate, seconds, other, count), result in self._results.items():
            is_same = rate == rate_rps and count == instances and replace(other, max_batch_size=size) == batching
            if is_same and other.max_batch_size > size >= result.largest_batch and seconds[:size] == curve:
                return result
        return None

    def _simulate(
        self, rate_rps: float, service_s: Sequence[float], batching: DynamicBatching, instances: int
    ) -> LoadResult:
        result = simulate(
            self._unit / rate_rps, service_s, batching, instances, has_dynamic_shapes=self._has_dynamic_shapes
        )
        sizes = result.batch_sizes
        return LoadResult(
            queue_and_service_s=np.sort(result.latency_s[WARM_UP:]),
            mean_queue_s=float(result.queue_s[WARM_UP:].mean()),
            mean_batch_size=sum(s * n for s, n in sizes.items()) / sum(sizes.values()),
            largest_batch=max(size for size, count in sizes.items() if count),
            utilization=result.utilization,
            handling_s=self.handling.value,
        )
