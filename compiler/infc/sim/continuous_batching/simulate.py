"""Requests through one replica of vLLM: open loop and closed loop."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count as integers

import numpy as np

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching.drafting import Drafting, drafted_of
from infc.sim.continuous_batching.engine import Engine
from infc.sim.continuous_batching.requests import Floats, Integers, TokenRequests, TokenResult
from infc.sim.continuous_batching.roomy import Served, is_plain, serve

BLOCK_TOKENS = 16
"""Tokens in a block of the KV cache by default. Source: vLLM 0.32 on GPUs (on CPUs it is 128)."""


def simulate(
    requests: TokenRequests,
    steps: StepTimeModel,
    batching: ContinuousBatching,
    kv_cache_tokens: int,
    *,
    block_tokens: int = BLOCK_TOKENS,
    has_async_scheduling: bool = False,
    drafting: Drafting | None = None,
) -> TokenResult:
    """Serve requests that come at their own times (open loop) on one replica whose cache holds `kv_cache_tokens`.

    A request reaches the scheduler `steps.request_s` after it was sent. With `has_async_scheduling` the scheduler
    decides on a step while the one before runs: a request that comes, and the place of one that ends, wait for one step
    more. That is vLLM's default on GPUs; its steps take less time, for what the host does is hidden. With `drafting` a
    step yields a random number of tokens of each sequence, which reach the client together.

    Same arguments, same result. 20,000 chat requests take a quarter of a second while the KV cache holds them all.

    Raises:
        ValueError: no request, arrivals out of order, lengths below 1, a request that the KV cache can never hold, a
            token budget under the number of sequences (with what is drafted for them), or (without chunked prefill)
            under the length of a request.

    >>> steps = StepTimeModel(token_knots=(1, 1001), token_s=(0.01, 0.11), sequence_s=0, context_s=0, pair_s=0,
    ...                       fixed_s=0)
    >>> one = TokenRequests(arrivals_s=np.zeros(1), prompt_tokens=np.array([501]), output_tokens=np.array([3]),
    ...                     prefix_tokens=np.array([0]))
    >>> result = simulate(one, steps, ContinuousBatching(max_num_seqs=8, max_num_batched_tokens=2048), 10_000)
    >>> result.ttft_s.round(6), result.tpot_s.round(6)
    (array([0.06]), array([0.01]))
    """
    _require_valid(requests, batching, kv_cache_tokens, block_tokens)
    kv_blocks = kv_cache_tokens // block_tokens
    arrivals_s, outputs = np.asarray(requests.arrivals_s, dtype=np.float64), np.asarray(requests.output_tokens)
    prompts, taken = np.asarray(requests.prompt_tokens), outputs
    drafted = None if drafting is None else drafted_of(outputs, drafting, batching)
    if drafted is not None:
        prompts, taken = prompts + np.asarray(drafted.shifts), 1 + np.asarray(drafted.steps)
        _require_room(prompts + taken - 1, kv_cache_tokens, block_tokens)
    columns = [np.asarray(each).tolist() for each in (prompts, taken, requests.prefix_tokens)]
    rows = list(zip((arrivals_s + steps.request_s).tolist(), *columns, strict=True))
    served: Served | Engine | None = None
    is_async = has_async_scheduling
    if is_plain(batching):
        served = serve(rows, steps, batching, kv_blocks, block_tokens, has_async_scheduling=is_async, drafted=drafted)
    if served is None:
        served = Engine(steps, batching, kv_blocks, block_tokens, has_async_scheduling=is_async, drafted=drafted)
        for row in rows:
            served.add(*row)
        served.run()
    if drafted is not None:
        served.gaps.append((0.0, 0.0, 1, int((outputs - taken).sum())))  # tokens that came with another
    return _result(served, arrivals_s, outputs, steps, kv_blocks)


def simulate_closed(
    concurrency: int,
    count: int,
    prompt_tokens: int | Sequence[int] | Integers,
    output_tokens: int | Sequence[int] | Integers,
    steps: StepTimeModel,
    batching: ContinuousBatching,
    kv_cache_tokens: int,
    *,
    prefix_tokens: int | Sequence[int] | Integers = 0,
    block_tokens: int = BLOCK_TOKENS,
    has_async_scheduling: bool = False,
    warm_up: int = 0,
) -> TokenResult:
    """Serve `count` requests, `concurrency` at a time (closed loop), as published benchmarks do.

    The first `concurrency` requests are sent together at 0, each next one as another ends. Lengths are one number for
    all, or one for each. The result holds all requests but the first `warm_up`: benchmark tools leave none out, so that
    the start, where all prompts queue for the first steps, is part of their mean TTFT. In order of sending.

    Raises:
        ValueError: as `simulate`; a concurrency below 1, or a warm-up that leaves nothing.

    >>> steps = StepTimeModel(token_knots=(1,), token_s=(0.0,), sequence_s=0, context_s=0, pair_s=0, fixed_s=0.01)
    >>> batching = ContinuousBatching(max_num_seqs=8, max_num_batched_tokens=2048)
    >>> result = simulate_closed(2, 4, 100, 11, steps, batching, 10_000)
    >>> result.tpot_s.round(6), round(result.end_s, 6)
    (array([0.01, 0.01, 0.01, 0.01]), 0.22)
    """
    if concurrency < 1 or not 0 <= warm_up < count:
        raise ValueError("a closed loop needs a concurrency of one and more requests than the warm-up")
    prompts, outputs, prefixes = (_column(each, count) for each in (prompt_tokens, output_tokens, prefix_tokens))
    everything = TokenRequests(
        arrivals_s=np.zeros(count), prompt_tokens=prompts, output_tokens=outputs, prefix_tokens=prefixes
    )
    _require_valid(everything, batching, kv_cache_tokens, block_tokens)
    lengths = list(zip(prompts.tolist(), outputs.tolist(), prefixes.tolist(), strict=True))
    sent_s: list[float] = []
    numbers = integers()

    def send(at_s: float) -> None:
        if (number := next(numbers)) < count:
            sent_s.append(at_s)
            engine.add(at_s + steps.request_s, *lengths[number])

    engine = Engine(
        steps,
        batching,
        kv_cache_tokens // block_tokens,
        block_tokens,
        has_async_scheduling=has_async_scheduling,
        on_done=send,
    )
    for _ in range(min(concurrency, count)):
        send(0.0)
    engine.run()
    result = _result(engine, np.asarray(sent_s), outputs, steps, kv_cache_tokens // block_tokens)
    return _without_first(result, warm_up) if warm_up else result


def _column(value: int | Sequence[int] | Integers, count: int) -> Integers:
    return np.array(np.broadcast_to(np.asarray(value, dtype=np.int64), (count,)))


def _require_valid(
    requests: TokenRequests, batching: ContinuousBatching, kv_cache_tokens: int, block_tokens: int
) -> None:
    arrivals_s, prompts, outputs = requests.arrivals_s, requests.prompt_tokens, requests.output_tokens
    if len(arrivals_s) == 0:
        raise ValueError("no request to simulate")
    if not len(arrivals_s) == len(prompts) == len(outputs) == len(requests.prefix_tokens):
        raise ValueError("arrivals and lengths must be as many")
    if arrivals_s[0] < 0.0 or np.any(np.diff(arrivals_s) < 0.0):
        raise ValueError("arrivals must ascend from 0 on")
    if prompts.min() < 1 or outputs.min() < 1:
        raise ValueError("a request has at least one prompt token and one output token")
    if np.any(requests.prefix_tokens < 0) or np.any(requests.prefix_tokens > prompts):
        raise ValueError("a shared prefix is a part of the prompt")
    if not 1 <= batching.max_num_seqs <= batching.max_num_batched_tokens:
        raise ValueError("max_num_seqs lies between 1 and max_num_batched_tokens")
    longest = _require_room(prompts + outputs - 1, kv_cache_tokens, block_tokens)
    if not batching.has_chunked_prefill and longest > batching.max_num_batched_tokens:
        raise ValueError(f"without chunked prefill a request of {longest} tokens needs a token budget as large")


def _require_room(lengths: Integers, kv_cache_tokens: int, block_tokens: int) -> int:
    longest = int(lengths.max())
    if longest > kv_cache_tokens // block_tokens * block_tokens:
        raise ValueError(f"a request of {longest} tokens does not fit the KV cache of {kv_cache_tokens}")
    return longest


def _result(
    engine: Engine | Served, sent_s: Floats, output_tokens: Integers, steps: StepTimeModel, kv_blocks: int
) -> TokenResult:
    first_s, done_s, start_s = (np.asarray(each) for each in (engine.first_s, engine.done_s, engine.start_s))
    with np.errstate(invalid="ignore"):
        tpot_s = np.where(output_tokens > 1, (done_s - first_s) / np.maximum(output_tokens - 1, 1), np.nan)
    end_s = float(done_s.max())
    return TokenResult(
        ttft_s=first_s - sent_s,
        tpot_s=tpot_s,
        e2e_s=done_s - sent_s,
        queue_s=np.maximum(start_s - sent_s - steps.request_s, 0.0),
        stretches=engine.gaps,
        output_tokens=output_tokens,
        running_sequences=engine.sequence_seconds / engine.busy_s,
        kv_cache_utilization=engine.block_seconds / (engine.busy_s * kv_blocks),
        kv_cache_peak=engine.peak_blocks / kv_blocks,
        preemptions=engine.preemptions,
        cached_tokens=engine.cached_tokens,
        utilization=engine.busy_s / end_s,
        end_s=end_s,
    )


def _without_first(result: TokenResult, warm_up: int) -> TokenResult:
    """The requests after the first ones; what is not by request stays of the whole run."""
    return replace(
        result,
        ttft_s=result.ttft_s[warm_up:],
        tpot_s=result.tpot_s[warm_up:],
        e2e_s=result.e2e_s[warm_up:],
        queue_s=result.queue_s[warm_up:],
        output_tokens=result.output_tokens[warm_up:],
    )
