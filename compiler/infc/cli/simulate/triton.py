"""`infc simulate triton`: queueing what-if from service times, batcher settings and an arrival process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from infc.cli.simulate.options import ARRIVAL_HELP, arrival_option, arrival_text, own_rate_rps, rate_option
from infc.ir.arrival import Arrival
from infc.ir.candidate import DynamicBatching

if TYPE_CHECKING:
    from collections.abc import Callable

    from infc.sim.dynamic_batching import BatchingResult

_WORTH_NOTING = 0.97
_MAX_REQUESTS = 5_000_000


def _positive_floats(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers separated by commas") from None
    if not all(0.0 < number < float("inf") for number in numbers):
        raise click.BadParameter(f"{value!r} must hold finite numbers greater than zero")
    return numbers


def _batch_sizes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, ...]:
    if value is None:
        return ()
    try:
        sizes = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers separated by commas") from None
    if sizes[0] < 1:
        raise click.BadParameter(f"{value!r} must hold batch sizes from 1 on")
    return sizes


@click.command()
@click.option(
    "--service-ms",
    metavar="MS,MS,...",
    callback=_positive_floats,
    required=True,
    help="Milliseconds that a batch of 1, 2, 3... keeps an instance busy, such as 5.4,8.7,11.9.",
)
@click.option(
    "--rate",
    metavar="RATE",
    callback=rate_option,
    help="Mean arrival rate, such as 100/s. Default: a trace's own; else required.",
)
@click.option(
    "--arrival",
    metavar="PROCESS",
    callback=arrival_option,
    default="poisson",
    show_default=True,
    help=ARRIVAL_HELP,
)
@click.option("--max-batch-size", type=click.IntRange(1, 4096), help="Default: as many as there are service times.")
@click.option(
    "--max-queue-delay-us", type=click.FloatRange(0, 60e6), default=0.0, show_default=True, help="Microseconds."
)
@click.option(
    "--preferred", metavar="N,N,...", callback=_batch_sizes, help="Preferred batch sizes. Default: the maximum."
)
@click.option("--instances", type=click.IntRange(1, 1024), default=1, show_default=True, help="Instances of the model.")
@click.option(
    "--dynamic-shapes",
    "has_dynamic_shapes",
    is_flag=True,
    help="An input has a dimension of -1 besides the batch: Triton then looks at every request as it arrives.",
)
@click.option(
    "--prefetch/--no-prefetch",
    "has_prefetch",
    default=True,
    help="Triton forms batches ahead of free instances, unless a default_queue_policy is set: then --no-prefetch.",
)
@click.option(
    "--requests", type=click.IntRange(1, _MAX_REQUESTS), default=20_000, show_default=True, help="Requests to simulate."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the arrivals.")
@click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
def triton(
    service_ms: tuple[float, ...],
    rate: float | None,
    arrival: Arrival,
    max_batch_size: int | None,
    max_queue_delay_us: float,
    preferred: tuple[int, ...],
    instances: int,
    has_dynamic_shapes: bool,
    has_prefetch: bool,
    requests: int,
    seed: int,
    output: str,
) -> None:
    """Simulate Triton's dynamic batcher.

    \b
    infc simulate triton --service-ms 5.4,8.7,11.9 --rate 150/s --max-queue-delay-us 500

    Follows the rules of the real batcher, which is not the textbook one: under a queue delay it forms batches ahead of
    free instances, and late requests may wait out a delay of their own. Notes say when another setting would do better.
    """  # noqa: D301 - \b is click's mark of a paragraph that is not wrapped
    from infc.report.simulation import SimulationReport, render_simulation_json, render_simulation_text
    from infc.sim.arrivals import arrival_times_s
    from infc.sim.dynamic_batching import simulate

    maximum = _max_batch_size(service_ms, max_batch_size, preferred)
    batching = DynamicBatching(
        max_batch_size=maximum,
        max_queue_delay_s=max_queue_delay_us * 1e-6,
        preferred_batch_sizes=preferred,
        has_prefetch=has_prefetch,
    )
    rate_rps = rate if rate is not None else own_rate_rps(arrival)
    service_s = [milliseconds * 1e-3 for milliseconds in service_ms]
    arrivals_s = arrival_times_s(arrival, rate_rps, requests, seed)

    def run(each: DynamicBatching) -> BatchingResult:
        return simulate(arrivals_s, service_s, each, instances, has_dynamic_shapes=has_dynamic_shapes)

    result = run(batching)
    report = SimulationReport(
        batching=batching,
        instances=instances,
        arrival=arrival_text(arrival),
        rate_rps=rate_rps,
        seed=seed,
        capacity_rps=instances * max(size / service_s[size - 1] for size in range(1, maximum + 1)),
        result=result,
        alternatives=_alternatives(run, batching, result.percentiles_s((99,))[0]),
    )
    click.echo(render_simulation_json(report) if output == "json" else render_simulation_text(report))


def _max_batch_size(service_ms: tuple[float, ...], asked: int | None, preferred: tuple[int, ...]) -> int:
    maximum = asked if asked is not None else len(service_ms)
    if maximum > len(service_ms):
        message = f"--max-batch-size is {maximum}, but --service-ms has times for batches up to {len(service_ms)}"
        raise click.UsageError(message)
    if preferred and preferred[-1] > maximum:
        raise click.UsageError(f"--preferred {preferred[-1]} is above the maximum batch size {maximum}")
    return maximum


def _alternatives(
    run: Callable[[DynamicBatching], BatchingResult], batching: DynamicBatching, p99_s: float
) -> tuple[tuple[str, float], ...]:
    """Changes of the queueing settings alone that lower the p99 by more than 3% under the same arrivals."""
    if batching.max_batch_size == 1 or batching.max_queue_delay_s == 0.0:
        return ()
    changes = [("no queue delay (--max-queue-delay-us 0)", replace(batching, max_queue_delay_s=0.0))]
    if batching.has_prefetch:
        policy = "a queue policy that never fires (--no-prefetch)"
        changes.append((policy, replace(batching, has_prefetch=False)))
    found = [(what, run(other).percentiles_s((99,))[0]) for what, other in changes]
    return tuple((what, other_s) for what, other_s in found if other_s < _WORTH_NOTING * p99_s)
