"""What a published benchmark of a language-model server reports: so many requests at a time, means over all of them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching import BLOCK_TOKENS, simulate_closed

LENGTH_SPREAD = 0.1
"""Prompts and outputs differ by up to this share of their length.

Benchmark tools draw lengths at random; with equal lengths all requests would end, and start again, together.
"""
WAVES = 6
LEAST_REQUESTS = 24
MOST_TOKENS = 40_000_000
"""Most output tokens of a run: fewer waves would give the first one a larger share of the mean."""
_SEED = 20250711
_QUEUED, _QUEUED_LEAST = 1.25, 8
"""Requests in the server that are simulated, beyond those that fit it: enough that one always waits."""


@dataclass(frozen=True, kw_only=True)
class ClosedLoopFigures:
    """Means over the requests of a run, in seconds; tokens per second of all requests together.

    Requests of one token have no `tpot_s`. `utilization` is the share of the time in which a step ran, `preemptions`
    are per request.
    """

    ttft_s: float
    tpot_s: float | None
    e2e_s: float
    output_tokens_per_s: float
    utilization: float
    preemptions: float


def closed_loop_figures(
    steps: StepTimeModel,
    batching: ContinuousBatching,
    kv_cache_tokens: int,
    *,
    concurrency: int,
    prompt_tokens: int,
    output_tokens: int,
    block_tokens: int = BLOCK_TOKENS,
    has_async_scheduling: bool = True,
) -> ClosedLoopFigures:
    """Serve `concurrency` requests at a time, a new one as one ends. Deterministic.

    Benchmark tools send the first `concurrency` requests together and leave none out of their means, so the start,
    where prompts queue for the first steps, is part of the mean TTFT here too: without it the TTFT of published runs
    comes out at half of what was measured. Throughput follows from Little's law. Requests that can do nothing but wait
    are not simulated: each of them adds the same time to what all wait.

    Raises:
        ValueError: a request does not fit `kv_cache_tokens`.
    """
    running = min(batching.max_num_seqs, max(1, kv_cache_tokens // (prompt_tokens + output_tokens)))
    simulated = min(concurrency, int(running * _QUEUED) + _QUEUED_LEAST)
    waves = max(2, min(WAVES, MOST_TOKENS // (simulated * output_tokens)))
    count = max(simulated * waves, LEAST_REQUESTS)
    random = np.random.default_rng(_SEED)
    result = simulate_closed(
        simulated,
        count,
        _lengths(random, prompt_tokens, count),
        _lengths(random, output_tokens, count),
        steps,
        batching,
        kv_cache_tokens,
        block_tokens=block_tokens,
        has_async_scheduling=has_async_scheduling,
    )
    e2e_s = float(result.e2e_s.mean())
    waiting_s = e2e_s * (concurrency / simulated - 1)
    return ClosedLoopFigures(
        ttft_s=float(result.ttft_s.mean()) + waiting_s,
        tpot_s=float(np.nanmean(result.tpot_s)) if output_tokens > 1 else None,
        e2e_s=e2e_s + waiting_s,
        output_tokens_per_s=simulated * output_tokens / e2e_s,
        utilization=result.utilization,
        preemptions=result.preemptions / count,
    )


def slower(steps: StepTimeModel, sign: int) -> StepTimeModel:
    """The step times at an end of their 90% interval: the slow end with `sign` 1, the fast end with -1.

    Steps of up to 512 tokens are mostly decoding and move by the spread of decoding, larger ones by that of prefill.

    >>> steps = StepTimeModel(token_knots=(1, 2048), token_s=(0.01, 0.1), sequence_s=0, context_s=0, pair_s=0,
    ...                       fixed_s=0.001, decode_spread=1.2, prefill_spread=1.5)
    >>> [round(s, 4) for s in slower(steps, 1).token_s], [round(s, 4) for s in slower(steps, -1).token_s]
    ([0.012, 0.15], [0.0083, 0.0667])
    """
    decode, prefill = steps.decode_spread**sign, steps.prefill_spread**sign
    factors = [decode if knot <= _DECODE_TOKENS else prefill for knot in steps.token_knots]
    return replace(
        steps,
        token_s=tuple(np.maximum.accumulate([s * f for s, f in zip(steps.token_s, factors, strict=True)]).tolist()),
        sequence_s=steps.sequence_s * decode,
        context_s=steps.context_s * decode,
        window_s=steps.window_s * decode,
        fixed_s=steps.fixed_s * decode,
        pair_s=steps.pair_s * prefill,
        request_s=steps.request_s * prefill,
    )


_DECODE_TOKENS = 512


def _lengths(random: np.random.Generator, mean: int, count: int) -> npt.NDArray[np.int64]:
    """Whole lengths around `mean`, whose mean it is."""
    half = int(mean * LENGTH_SPREAD)
    return random.integers(mean - half, mean + half, count, endpoint=True).astype(np.int64)
