"""`infc simulate triton`: queueing what-if from service times, batcher settings and an arrival process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from infc.cli.simulate.ensemble_file import ensemble_option
from infc.cli.simulate.options import ARRIVAL_HELP, arrival_option, arrival_text, own_rate_rps, rate_option
from infc.cli.simulate.request_options import (
    Shares,
    axis_times_option,
    groups_option,
    level_policies_option,
    milliseconds_option,
    shares_option,
    sizes_option,
)
from infc.cli.simulate.token_options import duration_option
from infc.cli.simulate.triton_setting import (
    PolicyOptions,
    TrafficOptions,
    alternatives_of,
    batching_of,
    model_step,
    requests_of,
    require_no_model_options,
    rules_of,
    run_model,
    run_steps,
    table_of,
)
from infc.ir.arrival import Arrival

if TYPE_CHECKING:
    from infc.sim.queue_policy import QueuePolicy
    from infc.sim.step import Step

_MAX_REQUESTS = 5_000_000
_MICROSECONDS = click.FloatRange(0, 60e6)


@click.command(short_help="Simulate Triton's dynamic batcher, or an ensemble.")
@click.option(
    "--service-ms",
    metavar="MS,MS,...",
    callback=milliseconds_option,
    help="Milliseconds that a batch of 1, 2, 3... keeps an instance busy, such as 5.4,8.7,11.9.",
)
@click.option(
    "--axis-ms",
    metavar="SIZE:MS,MS,...",
    multiple=True,
    callback=axis_times_option,
    help="The same at one size of a dynamic axis; repeat it for other sizes, linear between: 64:4,5 512:9,14.",
)
@click.option(
    "--ensemble",
    metavar="FILE",
    callback=ensemble_option,
    help="JSON file with the steps of an ensemble, each with its own scheduler, in place of one model.",
)
@click.option(
    "--rate",
    metavar="RATE",
    callback=rate_option,
    help="Mean arrival rate, such as 100/s. Default: a trace's own; else required.",
)
@click.option(
    "--arrival", metavar="PROCESS", callback=arrival_option, default="poisson", show_default=True, help=ARRIVAL_HELP
)
@click.option("--max-batch-size", type=click.IntRange(1, 4096), help="Default: as many as there are service times.")
@click.option("--max-queue-delay-us", type=_MICROSECONDS, default=0.0, show_default=True, help="Microseconds.")
@click.option(
    "--preferred", metavar="N,N,...", callback=sizes_option, help="Preferred batch sizes. Default: the maximum."
)
@click.option("--instances", type=click.IntRange(1, 1024), default=1, show_default=True, help="Instances of the model.")
@click.option(
    "--group",
    "groups",
    metavar="COUNT:FACTOR",
    multiple=True,
    callback=groups_option,
    help="Further instances that take FACTOR times as long, such as those of a slower device: 1:2.5.",
)
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
    "--request-batch",
    metavar="ROWS:SHARE,...",
    callback=shares_option,
    help="Rows of a request, such as 1:0.7,4:0.3. Default: a trace's column batch, else 1.",
)
@click.option(
    "--axis-sizes",
    metavar="SIZE:SHARE,...",
    callback=shares_option,
    help="Sizes of the axis among requests, such as 64:0.6,256:0.4. Default: a trace's column.",
)
@click.option("--axis", default="sequence", show_default=True, help="The trace's column of axis sizes.")
@click.option(
    "--bucket", "buckets", metavar="N,N,...", callback=sizes_option, help="Clients pad the axis to these sizes."
)
@click.option(
    "--ragged",
    "is_ragged",
    is_flag=True,
    help="Requests of different sizes share a batch (allow_ragged_batch), which takes as long as for the largest.",
)
@click.option(
    "--priorities",
    metavar="LEVEL:SHARE,...",
    callback=shares_option,
    help="Priorities among requests, 1 the highest, such as 1:0.2,2:0.8. Default: a trace's column priority.",
)
@click.option("--priority-levels", type=click.IntRange(0, 10_000), help="Default: as many as requests have.")
@click.option("--default-priority", type=click.IntRange(1), help="Of requests without one. Default: the lowest.")
@click.option("--queue-timeout-us", type=click.IntRange(0), default=0, help="Default queue timeout; 0: none.")
@click.option(
    "--timeout-action",
    type=click.Choice(["reject", "delay"]),
    default="reject",
    show_default=True,
    help="What becomes of requests whose time is over: refused, or served after all others of their level.",
)
@click.option(
    "--request-timeout-us",
    metavar="US:SHARE,...",
    callback=shares_option,
    help="Timeouts of their own among requests (allow_timeout_override).",
)
@click.option("--max-queue-size", type=click.IntRange(0), default=0, help="Requests that may wait per level; 0: any.")
@click.option(
    "--level-policy",
    "level_policies",
    metavar="LEVEL:KEY=VALUE,...",
    multiple=True,
    callback=level_policies_option,
    help="Queue policy of one level: 2:timeout-us=5000,action=reject,max-queue-size=64.",
)
@click.option("--dispatch-us", type=_MICROSECONDS, default=0.0, help="Before an idle instance starts with a request.")
@click.option("--execution-overhead-us", type=_MICROSECONDS, default=0.0, help="Added to every execution.")
@click.option("--request-overhead-us", type=_MICROSECONDS, default=0.0, help="Added to it for each request in it.")
@click.option("--response-overhead-us", type=_MICROSECONDS, default=0.0, help="Between the answers of one batch.")
@click.option("--transport-us", type=_MICROSECONDS, default=0.0, help="Between client and server, both ways together.")
@click.option("--latency-slo", "limit_s", metavar="TIME", callback=duration_option, help="For the goodput: 25ms.")
@click.option(
    "--requests", type=click.IntRange(1, _MAX_REQUESTS), default=20_000, show_default=True, help="Requests to simulate."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of arrivals and requests.")
@click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
def triton(
    service_ms: tuple[float, ...],
    axis_ms: dict[int, tuple[float, ...]],
    ensemble: tuple[tuple[Step, ...], int | None] | None,
    rate: float | None,
    arrival: Arrival,
    max_batch_size: int | None,
    max_queue_delay_us: float,
    preferred: tuple[int, ...],
    instances: int,
    groups: tuple[tuple[int, float], ...],
    has_dynamic_shapes: bool,
    has_prefetch: bool,
    request_batch: Shares | None,
    axis_sizes: Shares | None,
    axis: str,
    buckets: tuple[int, ...],
    is_ragged: bool,
    priorities: Shares | None,
    priority_levels: int | None,
    default_priority: int | None,
    queue_timeout_us: int,
    timeout_action: Literal["reject", "delay"],
    request_timeout_us: Shares | None,
    max_queue_size: int,
    level_policies: dict[int, QueuePolicy],
    dispatch_us: float,
    execution_overhead_us: float,
    request_overhead_us: float,
    response_overhead_us: float,
    transport_us: float,
    limit_s: float | None,
    requests: int,
    seed: int,
    output: str,
) -> None:
    """Simulate Triton's dynamic batcher, or an ensemble of models with a batcher each.

    Follows the rules of the real batcher, which is not the textbook one: under a queue delay it forms batches ahead of
    free instances, and late requests may wait out a delay of their own. Notes say when another setting would do better.

    The file of an ensemble: {"host_cores": 4, "steps": [{"name": "pre", "service_ms": [1.5], "instances": 4, "on":
    "host"}, {"name": "model", "service_ms": [4.5, 5, 5.5, 6], "max_queue_delay_us": 500}]}. A step follows the one
    before it, or those that it names in "after"; steps on the host share its cores.

    \b
    Examples:
      infc simulate triton --service-ms 5.4,8.7,11.9 --rate 150/s --max-queue-delay-us 500
      infc simulate triton --service-ms 5,6,7,8 --rate 300/s --request-batch 1:0.7,4:0.3
      infc simulate triton --service-ms 5,6,7,8 --rate 450/s --priorities 1:0.2,2:0.8 --queue-timeout-us 20000
      infc simulate triton --axis-ms 64:4,5,6 --axis-ms 512:9,14,19 --axis-sizes 64:0.8,512:0.2 --rate 90/s
      infc simulate triton --ensemble steps.json --rate 200/s
    """  # noqa: D301 - \b is click's mark of a paragraph that is not wrapped
    from infc.perf.server_cost import front_end_rps
    from infc.report.simulation import SimulationReport, render_simulation_json, render_simulation_text
    from infc.sim.capacity import capacity_rps
    from infc.sim.overhead import ServerOverhead

    rate_rps = rate if rate is not None else own_rate_rps(arrival)
    traffic = TrafficOptions(
        rows=request_batch,
        axis_sizes=axis_sizes,
        axis=axis,
        buckets=buckets,
        priorities=priorities,
        timeouts_us=request_timeout_us,
    )
    sent = requests_of(traffic, arrival, rate_rps, requests, seed)
    alternatives: tuple[tuple[str, float], ...] = ()
    if ensemble is not None:
        require_no_model_options(click.get_current_context())
        steps, host_cores = ensemble
        result = run_steps(sent, steps, host_cores)
    else:
        if axis_ms and sent.axis_sizes is None:
            raise click.UsageError("--axis-ms needs the sizes of requests: --axis-sizes 64:0.8,512:0.2, or a trace's")
        table = table_of(service_ms, axis_ms)
        policies = PolicyOptions(
            levels=priority_levels,
            default_level=default_priority,
            timeout_us=queue_timeout_us,
            action=timeout_action,
            max_queue_size=max_queue_size,
            by_level=level_policies,
        )
        model = model_step(
            table,
            batching_of(table, max_batch_size, max_queue_delay_us, preferred, has_prefetch),
            ((instances, 1.0), *groups),
            rules=rules_of(policies, sent),
            has_dynamic_shapes=not is_ragged and (has_dynamic_shapes or bool(axis_ms)),
            overhead=ServerOverhead(
                dispatch_s=dispatch_us * 1e-6,
                execution_s=execution_overhead_us * 1e-6,
                request_s=request_overhead_us * 1e-6,
                response_s=response_overhead_us * 1e-6,
                transport_s=transport_us * 1e-6,
            ),
        )
        steps, host_cores = (model,), None
        result = run_model(sent, model)
        alternatives = alternatives_of(lambda each: run_model(sent, each), model, result.percentiles_s((99,))[0])
    report = SimulationReport(
        steps=steps,
        arrival=arrival_text(arrival),
        rate_rps=rate_rps,
        seed=seed,
        requests=sent,
        capacity_rps=capacity_rps(sent, steps, host_cores),
        front_end_rps=front_end_rps(0.0),
        limit_s=limit_s,
        result=result,
        alternatives=alternatives,
    )
    click.echo(render_simulation_json(report) if output == "json" else render_simulation_text(report))
