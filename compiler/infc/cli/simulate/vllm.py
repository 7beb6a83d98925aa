"""`infc simulate vllm`: latencies of a language-model server from measured steps, its settings and the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.simulate.options import ARRIVAL_HELP, arrival_option, arrival_text, own_rate_rps, rate_option
from infc.cli.simulate.token_options import duration_option, lengths_option, share_option, step_profile_option
from infc.ir.arrival import Arrival, TraceArrival
from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from infc.ir.problem import AxisDistribution
    from infc.perf.llm.step_fit import StepTimeFit
    from infc.resolve.step_profile import StepProfile
    from infc.sim.continuous_batching import TokenResult

    Integers = npt.NDArray[np.int64]

_MAX_REQUESTS = 5_000_000
_DEFAULT_REQUESTS = 20_000
STEP_OVERHEAD_S = 1.6e-3
"""What vLLM 0.32 takes between two steps without async scheduling: scheduling, answers, messages to the worker."""
REQUEST_OVERHEAD_S = 6e-3
"""What it takes from the request to the scheduler and from the first token to the client. Both: sim_vs_vllm."""
_LENGTHS = "TOKENS"


@click.command()
@click.option(
    "--step-profile",
    "profile",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=step_profile_option,
    required=True,
    help='Measured steps: JSON with {"steps": [{"prefill_tokens", "decode_seqs", "context_tokens", "ms"}, ...]}, '
    "context_tokens summed over the sequences of the step; or a profile that infc calibrate stored.",
)
@click.option(
    "--rate", metavar="RATE", callback=rate_option, help="Mean arrival rate, such as 2/s. Default: a trace's."
)
@click.option(
    "--arrival", metavar="PROCESS", callback=arrival_option, default="poisson", show_default=True, help=ARRIVAL_HELP
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1_000_000),
    help="Closed loop instead: so many requests at a time, all first ones at once.",
)
@click.option(
    "--prompt-tokens",
    metavar=_LENGTHS,
    callback=lengths_option,
    help="512, or p50:512,p90:1800,max:4096. Default: the trace's column.",
)
@click.option(
    "--output-tokens", metavar=_LENGTHS, callback=lengths_option, help="As --prompt-tokens, for the generated tokens."
)
@click.option(
    "--shared-prefix",
    metavar="SHARE",
    callback=share_option,
    default="0%",
    show_default=True,
    help="Share of the mean prompt that all requests start with, such as 30%.",
)
@click.option("--max-num-seqs", type=click.IntRange(1, 65_536), default=256, show_default=True)
@click.option("--max-num-batched-tokens", type=click.IntRange(1, 1_048_576), default=2048, show_default=True)
@click.option(
    "--long-prefill-tokens",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="vLLM's long-prefill-token-threshold: the most tokens of one prompt in a step; 0 for no limit.",
)
@click.option("--chunked-prefill/--no-chunked-prefill", "has_chunked_prefill", default=True, show_default=True)
@click.option("--prefix-caching/--no-prefix-caching", "has_prefix_caching", default=True, show_default=True)
@click.option(
    "--async-scheduling/--sync-scheduling",
    "has_async_scheduling",
    default=False,
    show_default=True,
    help="vLLM's default is async on GPUs and sync on CPUs.",
)
@click.option("--kv-cache-tokens", type=click.IntRange(1), help="Default: as many as there can be.")
@click.option(
    "--block-size",
    type=click.IntRange(1, 4096),
    default=16,
    show_default=True,
    help="Tokens in a KV block; vLLM takes 16 on GPUs and 128 on CPUs.",
)
@click.option(
    "--step-overhead",
    "step_overhead_s",
    metavar="TIME",
    callback=duration_option,
    help="Added to every measured step, for what the server does between two. Default: the profile's "
    "step_overhead_ms (its sequence_overhead_ms comes with each sequence of a step), else 1.6ms, or 0 with "
    "--async-scheduling, which hides it.",
)
@click.option(
    "--request-overhead",
    "request_overhead_s",
    metavar="TIME",
    callback=duration_option,
    help="Added to every request before its first token. Default: the profile's request_overhead_ms, else 6ms.",
)
@click.option(
    "--requests",
    type=click.IntRange(1, _MAX_REQUESTS),
    help=f"Requests to simulate. Default: a trace's, else {_DEFAULT_REQUESTS}.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of arrivals and lengths.")
@click.option("--ttft-slo", "ttft_slo_s", metavar="TIME", callback=duration_option, help="For the goodput: 500ms.")
@click.option("--tpot-slo", "tpot_slo_s", metavar="TIME", callback=duration_option, help="For the goodput: 40ms.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def vllm(
    profile: StepProfile,
    rate: float | None,
    arrival: Arrival,
    concurrency: int | None,
    prompt_tokens: AxisDistribution | None,
    output_tokens: AxisDistribution | None,
    shared_prefix: float,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    long_prefill_tokens: int,
    has_chunked_prefill: bool,
    has_prefix_caching: bool,
    has_async_scheduling: bool,
    kv_cache_tokens: int | None,
    block_size: int,
    step_overhead_s: float | None,
    request_overhead_s: float | None,
    requests: int | None,
    seed: int,
    ttft_slo_s: float | None,
    tpot_slo_s: float | None,
    output: str,
) -> None:
    r"""Simulate vLLM's continuous batching.

    Follows the scheduler of vLLM 0.32: token budget, chunked prefill, KV blocks with preemption, prefix cache. Step
    times between and beyond the measured ones come from a fit, and the answer says how good it is.

    \b
    Examples:
      infc simulate vllm --step-profile profile.json --rate 2/s --prompt-tokens 512 --output-tokens 128
    """
    from infc.report.simulation_tokens import TokenReport, render_tokens_json, render_tokens_text
    from infc.sim.lengths import shared_prefix_tokens

    if rate is not None and concurrency is not None:
        raise click.UsageError("--rate is open loop and --concurrency closed loop: give one of them")
    count = requests if requests is not None else _own_count(arrival)
    prompts = _lengths(arrival, "prompt_tokens", prompt_tokens, count, seed)
    outputs = _lengths(arrival, "output_tokens", output_tokens, count, seed + 1)
    fitted = _fitted(profile)
    steps = replace(
        fitted.model,
        fixed_s=fitted.model.fixed_s
        + _first(step_overhead_s, profile.overhead_s, 0.0 if has_async_scheduling else STEP_OVERHEAD_S),
        sequence_s=fitted.model.sequence_s + (profile.sequence_overhead_s or 0.0),
        request_s=_first(request_overhead_s, profile.request_s, REQUEST_OVERHEAD_S),
    )
    server = Server(
        steps=steps,
        batching=ContinuousBatching(
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            has_prefix_caching=has_prefix_caching,
            has_chunked_prefill=has_chunked_prefill,
            long_prefill_tokens=long_prefill_tokens,
        ),
        kv_cache_tokens=kv_cache_tokens or _ample_tokens(prompts, outputs, max_num_seqs, block_size),
        block_tokens=block_size,
        has_async_scheduling=has_async_scheduling,
    )
    prefixes = shared_prefix_tokens(prompts, shared_prefix)
    if concurrency is not None:
        rate_rps, traffic = None, f"{concurrency} at a time"
        result = _closed(server, concurrency, prompts, outputs, prefixes)
    else:
        rate_rps = rate if rate is not None else own_rate_rps(arrival)
        traffic = f"{arrival_text(arrival)} at {rate_rps:g}/s"
        result = _open(server, arrival, rate_rps, seed, prompts, outputs, prefixes)
    report = TokenReport(
        steps=steps,
        batching=server.batching,
        kv_cache_tokens=kv_cache_tokens,
        traffic=traffic,
        rate_rps=rate_rps,
        prompt_tokens=prompts,
        ttft_slo_s=ttft_slo_s,
        tpot_slo_s=tpot_slo_s,
        fit=fitted,
        result=result,
    )
    click.echo(render_tokens_json(report) if output == "json" else render_tokens_text(report))


@dataclass(frozen=True, kw_only=True)
class Server:
    """What is simulated."""

    steps: StepTimeModel
    batching: ContinuousBatching
    kv_cache_tokens: int
    block_tokens: int
    has_async_scheduling: bool


def _open(
    server: Server,
    arrival: Arrival,
    rate_rps: float,
    seed: int,
    prompts: Integers,
    outputs: Integers,
    prefixes: Integers,
) -> TokenResult:
    from infc.sim.arrivals import arrival_times_s
    from infc.sim.continuous_batching import TokenRequests, simulate

    requests = TokenRequests(
        arrivals_s=arrival_times_s(arrival, rate_rps, len(prompts), seed),
        prompt_tokens=prompts,
        output_tokens=outputs,
        prefix_tokens=prefixes,
    )
    with _told():
        return simulate(
            requests,
            server.steps,
            server.batching,
            server.kv_cache_tokens,
            block_tokens=server.block_tokens,
            has_async_scheduling=server.has_async_scheduling,
        )


def _closed(server: Server, concurrency: int, prompts: Integers, outputs: Integers, prefixes: Integers) -> TokenResult:
    from infc.sim.continuous_batching import simulate_closed

    with _told():
        return simulate_closed(
            concurrency,
            len(prompts),
            prompts,
            outputs,
            server.steps,
            server.batching,
            server.kv_cache_tokens,
            prefix_tokens=prefixes,
            block_tokens=server.block_tokens,
            has_async_scheduling=server.has_async_scheduling,
        )


@contextmanager
def _told() -> Iterator[None]:
    """Settings that cannot work are the user's to change."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(f"{error} (--max-num-seqs, --max-num-batched-tokens, --kv-cache-tokens)") from None


def _fitted(profile: StepProfile) -> StepTimeFit:
    from infc.perf.llm.step_fit import fit

    try:
        return fit(profile.points)
    except ValueError as error:
        raise click.UsageError(f"--step-profile: {error}") from None


def _own_count(arrival: Arrival) -> int:
    return len(arrival.timestamps_s) if isinstance(arrival, TraceArrival) else _DEFAULT_REQUESTS


def _lengths(arrival: Arrival, column: str, asked: AxisDistribution | None, count: int, seed: int) -> Integers:
    """The lengths that were asked for, else those of the trace."""
    from infc.sim.arrivals import replayed_sizes
    from infc.sim.lengths import sample_lengths

    if asked is not None:
        return sample_lengths(asked, count, seed)
    recorded = replayed_sizes(arrival, column, count)
    if recorded is None:
        option = "--" + column.replace("_", "-")
        raise click.UsageError(f"Missing option '{option}', such as {option} 512 (or a trace with a column {column})")
    return recorded


def _first(*values: float | None) -> float:
    """The first that is given."""
    return next(value for value in values if value is not None)


def _ample_tokens(prompts: Integers, outputs: Integers, max_num_seqs: int, block_tokens: int) -> int:
    """A cache that never runs out: every place taken by the longest request, and as much again for what it keeps."""
    return 2 * max_num_seqs * (int((prompts + outputs).max()) + block_tokens)
