"""Steps of an ensemble, and what a simulation says of them and of the requests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infc.ir.candidate import DynamicBatching
from infc.sim.overhead import NO_OVERHEAD, ServerOverhead
from infc.sim.percentile import percentiles
from infc.sim.queue_policy import NO_RULES, QueueRules
from infc.sim.service_times import ServiceTable

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class InstanceGroup:
    """Equal instances of a model; groups of one model share its queue."""

    service: ServiceTable
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Step:
    """One model of an ensemble.

    `after` names the steps whose outputs it takes; none: the request itself. `batching` None: requests are executed one
    by one. `has_dynamic_shapes`: requests of different axis sizes do not share a batch; without it they do, and an
    execution takes as long as for the largest (a ragged batch, or padded by the model). `shares_host`: an execution
    takes one of the host's cores, which all such steps share.
    """

    name: str
    groups: tuple[InstanceGroup, ...]
    batching: DynamicBatching | None = None
    rules: QueueRules = NO_RULES
    after: tuple[str, ...] = ()
    has_dynamic_shapes: bool = False
    shares_host: bool = False
    overhead: ServerOverhead = NO_OVERHEAD

    @property
    def instances(self) -> int:
        """Instances of all groups."""
        return sum(group.count for group in self.groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class StepResult:
    """What happened in one step. `queue_s` is float64[requests], NaN for a request that was not executed there.

    `batch_sizes` counts executions by rows; `busy_s` is the time they took, `utilization` that as a share of what all
    instances had.
    """

    name: str
    queue_s: Floats
    batch_sizes: Mapping[int, int]
    busy_s: float
    utilization: float

    @property
    def executions(self) -> int:
        """Executions of any size."""
        return sum(self.batch_sizes.values())

    @property
    def mean_batch_size(self) -> float:
        """Rows per execution; 0 when nothing ran."""
        rows = sum(size * count for size, count in self.batch_sizes.items())
        return rows / self.executions if self.executions else 0.0

    @property
    def mean_service_s(self) -> float:
        """Seconds per execution; 0 when nothing ran."""
        return self.busy_s / self.executions if self.executions else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestsResult:
    """What happened to each request, in order of arrival.

    `latency_s` is from arrival to the answer, or to the error where `is_rejected`. `end_s` is the last of both.
    """

    latency_s: Floats
    is_rejected: npt.NDArray[np.bool_]
    steps: tuple[StepResult, ...]
    end_s: float

    @property
    def served_latency_s(self) -> Floats:
        """Latencies of the requests that were served."""
        return self.latency_s[~self.is_rejected]

    @property
    def queue_s(self) -> Floats:
        """Seconds that each served request waited in queues, over all steps."""
        total: Floats = np.sum([step.queue_s for step in self.steps], axis=0)
        return total[~self.is_rejected]

    @property
    def throughput_rps(self) -> float:
        """Requests served per second until the last answer."""
        return float((~self.is_rejected).sum()) / self.end_s

    def goodput_rps(self, limit_s: float = math.inf) -> float:
        """Requests served within `limit_s`, per second until the last answer."""
        return float((self.served_latency_s <= limit_s).sum()) / self.end_s

    def percentiles_s(self, asked: Sequence[float]) -> tuple[float, ...]:
        """Nearest-rank percentiles (0-100) of the latency of the requests that were served."""
        return percentiles(self.served_latency_s, asked)
