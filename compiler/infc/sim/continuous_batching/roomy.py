"""The scheduler of `engine` where the KV cache never runs out: the same steps and results in a quarter of the time.

A plan is judged by thousands of requests on many candidates, nearly all of which have a cache that holds whatever the
limit on sequences admits. Then blocks are only counted, nothing is preempted, and one prompt at most, the last
admitted, is not done after a step. All of the state is in local variables of one loop, for the sake of speed. As soon
as the cache would bind it gives up, and `Engine` serves the requests from the start.
"""

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching.engine import SAME_TIME_S, Gaps, elapsed_s
from infc.sim.continuous_batching.step import token_table


@dataclass(frozen=True, kw_only=True)
class Served:
    """What `Engine` has found when it has run, by the same names."""

    first_s: Sequence[float]
    done_s: Sequence[float]
    start_s: Sequence[float]
    gaps: Sequence[Gaps]
    busy_s: float
    block_seconds: float
    sequence_seconds: float
    peak_blocks: float
    preemptions: int = 0
    cached_tokens: int = 0


def is_plain(steps: StepTimeModel, batching: ContinuousBatching, prefix_tokens: int) -> bool:
    """Whether `serve` knows these settings: no attention window, no shared prefix, prompts in chunks without a cap."""
    return (
        steps.window_tokens is None
        and batching.has_chunked_prefill
        and not batching.long_prefill_tokens
        and not (batching.has_prefix_caching and prefix_tokens)
    )


def serve(  # noqa: C901 - calls in the loop would take most of the time
    arrivals_s: Sequence[float],
    prompts: Sequence[int],
    outputs: Sequence[int],
    steps: StepTimeModel,
    batching: ContinuousBatching,
    kv_blocks: int,
    block_tokens: int,
    *,
    has_async_scheduling: bool,
) -> Served | None:
    """Serve all requests as `Engine` would, bit by bit; None where the cache runs out. The settings are plain.

    `arrivals_s` are the times at which requests reach the scheduler, ascending.
    """
    total, size, is_async = len(arrivals_s), block_tokens, has_async_scheduling
    most_seqs, most_tokens = batching.max_num_seqs, batching.max_num_batched_tokens
    table, sequence_s = token_table(steps, most_tokens), steps.sequence_s
    context_s, pair_s = steps.context_s, steps.pair_s
    push, pop = heapq.heappush, heapq.heappop
    first_s, done_s, start_s = [-1.0] * total, [-1.0] * total, [-1.0] * total
    gaps: list[Gaps] = []
    arrived = 0
    waiting: deque[int] = deque()
    is_blocked = False
    running = used = peak = 0
    # The prompt that is not done, and the tokens of it that are in the cache.
    partial, partial_cached = -1, 0
    # As in `Decoding`: what a sequence holds minus the counter, and the counter at which it ends.
    counter = count = context = 0
    base, phases = [0] * total, [0] * size
    ends: list[int] = []  # the counter at the end times the number of requests, plus the request
    ended: list[int] = []  # async: the blocks of requests that are done but not yet freed
    now_s = last_start_s = busy_s = block_seconds = sequence_seconds = 0.0
    next_s = arrivals_s[0]
    while True:
        seen_s = (last_start_s if is_async else now_s) + SAME_TIME_S
        while next_s <= seen_s:
            waiting.append(arrived)
            arrived += 1
            next_s = arrivals_s[arrived] if arrived < total else math.inf
        if not running and not waiting:
            if arrived == total:
                break
            now_s = last_start_s = max(now_s, next_s)
            continue
        if partial < 0 and not ended and (is_blocked or not waiting):
            # A stretch of steps in which the same sequences decode.
            limit = ends[0] // total - counter
            begin_s = table[count] + sequence_s * count + context_s * context
            growth_s = context_s * count
            if next_s < math.inf and not is_blocked:
                left_s = next_s - now_s - SAME_TIME_S
                if left_s <= 0.0:
                    limit = 1
                elif limit > 1:
                    steepness = begin_s - growth_s / 2
                    root = math.sqrt(max(steepness * steepness + 2 * growth_s * left_s, 0.0))
                    found = math.ceil(2 * left_s / (steepness + root))
                    found = limit if found > limit else found if found > 1 else 1
                    while found > 1 and elapsed_s(found - 1, begin_s, growth_s) >= left_s:
                        found -= 1
                    while found < limit and elapsed_s(found, begin_s, growth_s) < left_s:
                        found += 1
                    limit = min(found + is_async, limit)
            at = counter % size
            if limit == 1:
                blocks = phases[at]
            else:
                rounds, rest = divmod(limit, size)
                end = at + rest
                blocks = sum(phases[at:end]) if end <= size else sum(phases[at:]) + sum(phases[: end - size])
                blocks += rounds * count
            duration_s = limit * begin_s + growth_s * (limit * (limit - 1) / 2)
            busy_s += duration_s
            now_s += duration_s
            sequence_seconds += duration_s * count
            block_seconds += duration_s * (used + blocks / 2)
            used += blocks
            if used > kv_blocks:
                return None
            gaps.append((begin_s, growth_s, limit, count))
            last_start_s = now_s - (begin_s + growth_s * (limit - 1))
            counter += limit
            context += limit * count
            if used > peak:
                peak = used
        else:
            # One step: what runs, then what waits while there is room.
            chunks: list[tuple[int, int, int]] = []
            budget = most_tokens - count
            used += phases[counter % size]
            tokens, pairs = count, 0.0
            if partial >= 0:
                taken = min(prompts[partial] - partial_cached, budget)
                used += -(-(partial_cached + taken) // size) + -partial_cached // size
                chunks.append((partial, partial_cached, taken))
                budget -= taken
                tokens += taken
                pairs += taken * (partial_cached + taken / 2)
                partial = -1
            while waiting and budget > 0 and running < most_seqs:
                request = waiting[0]
                prompt = prompts[request]
                if used - -prompt // size > kv_blocks:
                    return None
                taken = prompt if prompt <= budget else budget
                waiting.popleft()
                running += 1
                start_s[request] = now_s
                used += -(-taken // size)
                chunks.append((request, 0, taken))
                budget -= taken
                tokens += taken
                pairs += taken * (0 + taken / 2)
            if used > kv_blocks:
                return None
            is_blocked = bool(waiting) and not chunks
            held = used
            if ended:
                running -= len(ended)
                used -= sum(ended)
                ended = []
                is_blocked = False
            if chunks or count:
                sequences = count + len(chunks)
                duration_s = table[tokens] + sequence_s * sequences + pair_s * pairs + context_s * context
                busy_s += duration_s
                now_s += duration_s
                sequence_seconds += duration_s * sequences
                block_seconds += duration_s * held
                if held > peak:
                    peak = held
                last_start_s = now_s - duration_s
                if count:
                    gaps.append((duration_s, 0.0, 1, count))
                counter += 1
                context += count
                for request, cached, taken in chunks:
                    cached += taken
                    if cached < prompts[request]:
                        partial, partial_cached = request, cached
                        continue
                    first_s[request] = now_s
                    output = outputs[request]
                    if output == 1:
                        done_s[request] = now_s
                        if is_async:
                            ended.append(-(-cached // size))
                        else:
                            used += -cached // size
                            running -= 1
                            is_blocked = False
                        continue
                    offset = base[request] = cached - counter
                    phases[-offset % size] += 1
                    push(ends, (counter + output - 1) * total + request)
                    count += 1
                    context += cached
            else:
                last_start_s = now_s  # the pipeline of async scheduling has run empty
        # What has made its last token.
        last = (counter + 1) * total
        while ends and ends[0] < last:
            request = pop(ends) % total
            offset = base[request]
            cached = offset + counter
            phases[-offset % size] -= 1
            count -= 1
            context -= cached
            done_s[request] = now_s
            if is_async:
                ended.append(-(-cached // size))
            else:
                used += -cached // size
                running -= 1
                is_blocked = False
    return Served(
        first_s=first_s,
        done_s=done_s,
        start_s=start_s,
        gaps=gaps,
        busy_s=busy_s,
        block_seconds=block_seconds,
        sequence_seconds=sequence_seconds,
        peak_blocks=peak,
    )
