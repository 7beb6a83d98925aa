"""One model under requests of any kind: the fast simulation where it applies, else event by event."""

from collections.abc import Sequence

import numpy as np

from infc.ir.candidate import DynamicBatching
from infc.sim.dynamic_batching import simulate
from infc.sim.ensemble import simulate_ensemble
from infc.sim.overhead import NO_OVERHEAD, ServerOverhead
from infc.sim.queue_policy import NO_RULES, QueueRules
from infc.sim.requests import Requests
from infc.sim.step import InstanceGroup, RequestsResult, Step, StepResult


def simulate_requests(
    requests: Requests,
    groups: Sequence[InstanceGroup],
    batching: DynamicBatching,
    *,
    rules: QueueRules = NO_RULES,
    has_dynamic_shapes: bool = False,
    overhead: ServerOverhead = NO_OVERHEAD,
) -> RequestsResult:
    """Serve requests by one model.

    Equal requests on equal instances without queue rules take about 10 to 50 ms for 20,000; all others about 0.4 s.
    A batch size limit of 1 stands for a model without a dynamic batcher, unless rules need one.

    Raises:
        ValueError: as `simulate_ensemble` and `simulate` do.

    >>> from infc.sim.service_times import ServiceTable
    >>> group = InstanceGroup(service=ServiceTable.of_batch([1.0, 1.5, 2.0]))
    >>> two = Requests(arrivals_s=np.array([0.0, 0.1, 0.2]), rows=np.array([2, 2, 1]))
    >>> simulate_requests(two, [group], DynamicBatching(max_batch_size=3)).latency_s
    array([1.5, 3.4, 3.3])
    """
    if is_plain(requests, groups, rules):
        curve = groups[0].service.seconds[0]
        fast = simulate(
            requests.arrivals_s,
            curve,
            batching,
            groups[0].count,
            has_dynamic_shapes=has_dynamic_shapes,
            overhead=overhead,
        )
        step = StepResult(
            name="model",
            queue_s=fast.queue_s,
            batch_sizes=fast.batch_sizes,
            busy_s=fast.utilization * groups[0].count * fast.end_s,
            utilization=fast.utilization,
        )
        is_rejected = np.zeros(len(fast.latency_s), dtype=np.bool_)
        return RequestsResult(latency_s=fast.latency_s, is_rejected=is_rejected, steps=(step,), end_s=fast.end_s)
    is_direct = batching.max_batch_size == 1 and rules.allows_prefetch
    model = Step(
        name="model",
        groups=tuple(groups),
        batching=None if is_direct else batching,
        rules=rules,
        has_dynamic_shapes=has_dynamic_shapes,
        overhead=overhead,
    )
    return simulate_ensemble(requests, [model])


def is_plain(requests: Requests, groups: Sequence[InstanceGroup], rules: QueueRules) -> bool:
    """Whether requests, instances and rules are such that the fast simulation tells all there is."""
    is_one_curve = len(groups) == 1 and len(groups[0].service.axis_sizes) == 1
    return requests.are_equal and is_one_curve and rules.allows_prefetch
