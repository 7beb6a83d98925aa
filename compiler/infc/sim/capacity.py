"""What a model or an ensemble can answer at most."""

from collections.abc import Sequence

import numpy as np

from infc.sim.requests import Requests
from infc.sim.step import InstanceGroup, Step


def capacity_rps(requests: Requests, steps: Sequence[Step], host_cores: int | None = None) -> float:
    """Requests per second at which the first step, or the host, is busy all the time at the best batch sizes.

    An upper bound: batches that shapes or row counts keep from being full make it less.

    >>> from infc.ir.candidate import DynamicBatching
    >>> from infc.sim.service_times import ServiceTable
    >>> group = InstanceGroup(service=ServiceTable.of_batch([0.5, 0.8]), count=2)
    >>> capacity_rps(
    ...     Requests(arrivals_s=np.array([0.0])),
    ...     [Step(name="model", groups=(group,), batching=DynamicBatching(max_batch_size=2))],
    ... )
    5.0
    """
    sizes, counts = (
        np.unique(requests.axis_sizes, return_counts=True)
        if requests.axis_sizes is not None
        else (np.array([1]), np.array([1]))
    )
    shares = list(zip(sizes.tolist(), (counts / counts.sum()).tolist(), strict=True))
    largest_request = 1 if requests.rows is None else int(requests.rows.max())
    found = []
    host_s = 0.0
    for step in steps:
        largest = step.batching.max_batch_size if step.batching else largest_request
        row_s = [_row_s(step, group, largest, shares) for group in step.groups]
        rows_per_s = sum(group.count / seconds for group, seconds in zip(step.groups, row_s, strict=True))
        found.append(rows_per_s / requests.mean_rows)
        host_s += min(row_s) * requests.mean_rows if step.shares_host else 0.0
    if host_cores is not None and host_s:
        found.append(host_cores / host_s)
    return min(found)


def _row_s(step: Step, group: InstanceGroup, largest: int, shares: Sequence[tuple[int, float]]) -> float:
    """Least mean seconds of an instance for a row, in batches up to `largest`."""
    overhead = step.overhead
    return sum(
        share
        * min(
            (group.service.at(rows, size) + overhead.execution_s + overhead.idle_s) / rows + overhead.request_s
            for rows in range(1, largest + 1)
        )
        for size, share in shares
    )
