"""From the options of `infc simulate triton` to what is simulated: the model or the ensemble, and the requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from infc.ir.candidate import DynamicBatching

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from infc.cli.simulate.request_options import Shares
    from infc.ir.arrival import Arrival
    from infc.sim.overhead import ServerOverhead
    from infc.sim.queue_policy import QueuePolicy, QueueRules
    from infc.sim.requests import Requests
    from infc.sim.service_times import ServiceTable
    from infc.sim.step import RequestsResult, Step

_WORTH_NOTING = 0.97
_MODEL_OPTIONS = frozenset(
    {
        "service_ms",
        "axis_ms",
        "max_batch_size",
        "max_queue_delay_us",
        "preferred",
        "instances",
        "groups",
        "has_dynamic_shapes",
        "has_prefetch",
        "is_ragged",
        "priority_levels",
        "default_priority",
        "queue_timeout_us",
        "timeout_action",
        "request_timeout_us",
        "max_queue_size",
        "level_policies",
        "dispatch_us",
        "execution_overhead_us",
        "request_overhead_us",
        "response_overhead_us",
        "transport_us",
    }
)


@dataclass(frozen=True, kw_only=True)
class PolicyOptions:
    """Priority levels and queue policies as they were given."""

    levels: int | None
    default_level: int | None
    timeout_us: int
    action: Literal["reject", "delay"]
    max_queue_size: int
    by_level: Mapping[int, QueuePolicy]


@dataclass(frozen=True, kw_only=True)
class TrafficOptions:
    """What requests carry, as it was given; None: what a trace says, else the same for all."""

    rows: Shares | None
    axis_sizes: Shares | None
    axis: str
    buckets: tuple[int, ...]
    priorities: Shares | None
    timeouts_us: Shares | None


def requests_of(options: TrafficOptions, arrival: Arrival, rate_rps: float, count: int, seed: int) -> Requests:
    """The requests to simulate; drawn where they are not a trace's."""
    from infc.sim.arrivals import arrival_times_s, replayed_sizes
    from infc.sim.requests import Requests, drawn, padded

    def column(shares: Shares | None, name: str, offset: int) -> npt.NDArray[np.int64] | None:
        return replayed_sizes(arrival, name, count) if shares is None else drawn(shares, count, seed + offset)

    axis_sizes = column(options.axis_sizes, options.axis, 2)
    if options.buckets:
        if axis_sizes is None:
            raise click.UsageError("--bucket pads the sizes of --axis-sizes, or of a trace's column; there are none")
        try:
            axis_sizes = padded(axis_sizes, options.buckets)
        except ValueError as error:
            raise click.UsageError(f"--bucket: {error}") from None
    timeouts = column(options.timeouts_us, "timeout_us", 4)
    return Requests(
        arrivals_s=arrival_times_s(arrival, rate_rps, count, seed),
        rows=column(options.rows, "batch", 1),
        axis_sizes=axis_sizes,
        priorities=column(options.priorities, "priority", 3),
        timeouts_s=None if timeouts is None else timeouts * 1e-6,
    )


def require_no_model_options(context: click.Context) -> None:
    """A usage error when an ensemble comes with settings of a single model."""
    for option in context.command.params:
        is_given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if is_given and option.name in _MODEL_OPTIONS:
            raise click.UsageError(f"--ensemble has the settings of its steps: leave {option.opts[0]} out")


def table_of(service_ms: tuple[float, ...], axis_ms: Mapping[int, tuple[float, ...]]) -> ServiceTable:
    """Service times by batch size, and by axis size where they were given so."""
    from infc.sim.service_times import ServiceTable

    if service_ms and axis_ms:
        raise click.UsageError("--service-ms is for any size of the axis, --axis-ms for one each: give either")
    if service_ms:
        return ServiceTable.of_batch([each * 1e-3 for each in service_ms])
    if not axis_ms:
        raise click.UsageError("Missing option '--service-ms', such as --service-ms 5.4,8.7,11.9")
    return ServiceTable(
        axis_sizes=tuple(axis_ms), seconds=tuple(tuple(each * 1e-3 for each in row) for row in axis_ms.values())
    )


def batching_of(
    table: ServiceTable, asked: int | None, delay_us: float, preferred: tuple[int, ...], has_prefetch: bool
) -> DynamicBatching:
    """The dynamic batcher; a usage error where batches could be larger than the service times tell."""
    maximum = asked if asked is not None else table.largest_batch
    if maximum > table.largest_batch:
        times = f"--service-ms has times for batches up to {table.largest_batch}"
        raise click.UsageError(f"--max-batch-size is {maximum}, but {times}")
    if preferred and preferred[-1] > maximum:
        raise click.UsageError(f"--preferred {preferred[-1]} is above the maximum batch size {maximum}")
    return DynamicBatching(
        max_batch_size=maximum,
        max_queue_delay_s=delay_us * 1e-6,
        preferred_batch_sizes=preferred,
        has_prefetch=has_prefetch,
    )


def rules_of(options: PolicyOptions, requests: Requests) -> QueueRules:
    """Priority levels and queue policies; levels that were not told are those that the requests have."""
    from infc.sim.queue_policy import QueuePolicy, QueueRules

    if requests.timeouts_s is not None and not options.timeout_us:
        raise click.UsageError("--request-timeout-us counts only where it is below --queue-timeout-us: give both")
    asked = 0 if requests.priorities is None else int(requests.priorities.max())
    levels = asked if options.levels is None else options.levels
    if options.levels == 0 and (options.by_level or options.default_level):
        raise click.UsageError("--level-policy and --default-priority need --priority-levels")
    policy = QueuePolicy(
        timeout_s=options.timeout_us * 1e-6,
        timeout_action=options.action,
        allows_own_timeout=requests.timeouts_s is not None,
        max_queue_size=options.max_queue_size,
    )
    default_level = levels if options.default_level is None else options.default_level
    try:
        return QueueRules(policy=policy, levels=levels, default_level=default_level, by_level=dict(options.by_level))
    except ValueError as error:
        raise click.UsageError(f"--priority-levels {levels}: {error}") from None


def model_step(
    table: ServiceTable,
    batching: DynamicBatching,
    groups: tuple[tuple[int, float], ...],
    *,
    rules: QueueRules,
    has_dynamic_shapes: bool,
    overhead: ServerOverhead,
) -> Step:
    """A single model; `groups` are (instances, how many times as long they take)."""
    from infc.sim.service_times import ServiceTable
    from infc.sim.step import InstanceGroup, Step

    tables = [
        ServiceTable(
            axis_sizes=table.axis_sizes,
            seconds=tuple(tuple(factor * each for each in row) for row in table.seconds),
        )
        for _, factor in groups
    ]
    return Step(
        name="model",
        groups=tuple(InstanceGroup(service=each, count=count) for each, (count, _) in zip(tables, groups, strict=True)),
        batching=batching,
        rules=rules,
        has_dynamic_shapes=has_dynamic_shapes,
        overhead=overhead,
    )


def alternatives_of(run: Callable[[Step], RequestsResult], model: Step, p99_s: float) -> tuple[tuple[str, float], ...]:
    """Changes of the queueing settings alone that lower the p99 by more than 3% under the same requests."""
    batching = model.batching
    if batching is None or batching.max_batch_size == 1 or batching.max_queue_delay_s == 0.0:
        return ()
    changes = [("no queue delay (--max-queue-delay-us 0)", replace(batching, max_queue_delay_s=0.0))]
    if batching.has_prefetch and model.rules.allows_prefetch:
        policy = "a queue policy that never fires (--no-prefetch)"
        changes.append((policy, replace(batching, has_prefetch=False)))
    found = [(what, run(replace(model, batching=other)).percentiles_s((99,))[0]) for what, other in changes]
    return tuple((what, other_s) for what, other_s in found if other_s < _WORTH_NOTING * p99_s)


def run_model(requests: Requests, model: Step) -> RequestsResult:
    """Simulate a single model; a usage error for what cannot be."""
    from infc.sim.model_requests import simulate_requests

    assert model.batching is not None  # noqa: S101 - `model_step` always sets it
    try:
        result = simulate_requests(
            requests,
            model.groups,
            model.batching,
            rules=model.rules,
            has_dynamic_shapes=model.has_dynamic_shapes,
            overhead=model.overhead,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return _with_answers(result)


def run_steps(requests: Requests, steps: tuple[Step, ...], host_cores: int | None) -> RequestsResult:
    """Simulate an ensemble; a usage error for what cannot be."""
    from infc.sim.ensemble import simulate_ensemble

    try:
        result = simulate_ensemble(requests, steps, host_cores=host_cores)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return _with_answers(result)


def _with_answers(result: RequestsResult) -> RequestsResult:
    if result.is_rejected.all():
        raise click.UsageError("every request is rejected: a queue timeout is shorter than the queue delay")
    return result
