"""The scheduler of `engine` where the KV cache never runs out: the same steps and results in a third of the time.

A plan is judged by thousands of requests on many candidates, nearly all of which have a cache that holds whatever the
limit on sequences admits. Then nothing is preempted, blocks are only counted (but for a shared prefix, which may be
evicted while nobody uses it), and one prompt at most, the last admitted, is not done after a step. All of the state is
in local variables of one loop, for the sake of speed. As soon as the cache would bind it gives up, and `Engine` serves
the requests from the start.
"""

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching.drafting import Drafted
from infc.sim.continuous_batching.engine import SAME_TIME_S
from infc.sim.continuous_batching.prefix import PrefixPool
from infc.sim.continuous_batching.requests import Gaps
from infc.sim.continuous_batching.step import token_table


@dataclass(frozen=True, kw_only=True)
class Served:
    """What `Engine` has found when it has run, by the same names."""

    first_s: Sequence[float]
    done_s: Sequence[float]
    start_s: Sequence[float]
    gaps: list[Gaps]
    busy_s: float
    block_seconds: float
    sequence_seconds: float
    peak_blocks: float
    cached_tokens: int
    preemptions: int = 0


def is_plain(batching: ContinuousBatching) -> bool:
    """Whether `serve` knows these settings: prompts in chunks, as large as the token budget lets them be."""
    return batching.has_chunked_prefill and not batching.long_prefill_tokens


def serve(  # noqa: C901 - calls in the loop would take most of the time
    requests: Sequence[tuple[float, int, int, int]],
    steps: StepTimeModel,
    batching: ContinuousBatching,
    kv_blocks: int,
    block_tokens: int,
    *,
    has_async_scheduling: bool,
    drafted: Drafted | None = None,
) -> Served | None:
    """Serve all requests as `Engine` would, bit by bit; None where the cache runs out. The settings are plain.

    A request is what `Engine.add` takes: when it reaches the scheduler, and the tokens of its prompt, its output and
    the shared prefix; in order of time. With `drafted` its output counts steps, and its prompt the shift of its cache.
    """
    arrivals_s, prompts, outputs, prefixes = zip(*requests, strict=True)
    total, size, is_async = len(requests), block_tokens, has_async_scheduling
    most_seqs, most_tokens = batching.max_num_seqs, batching.max_num_batched_tokens
    table, sequence_s = token_table(steps, most_tokens), steps.sequence_s
    width, shifts, decode_table = 1, [0] * total, table
    if drafted is not None:
        width, shifts = drafted.width, list(drafted.shifts)
        decode_table = [table[n * width] + drafted.decode_s[n] for n in range(most_seqs + 1)]
    context_s, window_s, pair_s = steps.context_s, steps.window_s, steps.pair_s
    push, pop, sqrt, ceil = heapq.heappush, heapq.heappop, math.sqrt, math.ceil
    same_s, never_s = SAME_TIME_S, math.inf
    first_s, done_s, start_s = [-1.0] * total, [-1.0] * total, [-1.0] * total
    gaps: list[Gaps] = []
    arrived = 0
    waiting: deque[int] = deque()
    is_blocked = False
    running = used = peak = cached_tokens = 0
    pool = PrefixPool(kv_blocks) if batching.has_prefix_caching and max(prefixes) >= size else None
    shared = [0] * total  # blocks of the common prefix that a request holds
    owed = 0  # blocks taken that the pool was not told of yet
    # The prompt that is not done, and the tokens of it that are in the cache.
    partial, partial_cached = -1, 0
    # As in `Decoding`: what a sequence holds minus the counter, and the counter at which it ends.
    counter = count = context = 0
    base, phases = [0] * total, [0] * size
    ends: list[int] = []  # the counter at the end times the number of requests, plus the request
    # Those shorter than the attention window, and when each reaches it: the counter as in `ends`.
    window = steps.window_tokens or 0
    windowed = below = 0
    is_below, crossings = [False] * total, list[int]()
    # Requests that are done, with the tokens in their caches; async: the scheduler decides before it knows.
    ended: list[tuple[int, int]] = []
    freed: list[tuple[int, int]] = []
    now_s = last_start_s = busy_s = block_seconds = sequence_seconds = 0.0
    next_s = arrivals_s[0]
    while True:
        seen_s = (last_start_s if is_async else now_s) + same_s
        while next_s <= seen_s:
            waiting.append(arrived)
            arrived += 1
            next_s = arrivals_s[arrived] if arrived < total else never_s
        if not running and not waiting:
            if arrived == total:
                break
            now_s = last_start_s = max(now_s, next_s)
            continue
        if partial < 0 and not ended and (is_blocked or not waiting):
            # A stretch of steps in which the same sequences decode.
            limit = ends[0] // total - counter
            if crossings:
                limit = min(limit, crossings[0] // total - counter)
            begin_s = decode_table[count] + sequence_s * count + context_s * context + window_s * windowed
            growth_s = context_s * count + window_s * below
            if next_s < never_s and not is_blocked:
                left_s = next_s - now_s - same_s
                if left_s <= 0.0:
                    limit = 1
                elif limit > 1 and limit * begin_s + growth_s * (limit * (limit - 1) / 2) >= left_s:
                    steepness = begin_s - growth_s / 2
                    root = sqrt(steepness * steepness + 2 * growth_s * left_s)
                    found = ceil(2 * left_s / (steepness + root))
                    found = limit if found > limit else found if found > 1 else 1
                    while found > 1 and (found - 1) * begin_s + growth_s * ((found - 1) * (found - 2) / 2) >= left_s:
                        found -= 1
                    while found < limit and found * begin_s + growth_s * (found * (found - 1) / 2) < left_s:
                        found += 1
                    limit = found + is_async if found < limit else limit
            at = counter % size
            if limit == 1:
                blocks = phases[at]
            else:
                rounds = limit // size
                end = at + limit - rounds * size
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
            owed += blocks
            gaps.append((begin_s, growth_s, limit, count))
            last_start_s = now_s - (begin_s + growth_s * (limit - 1))
            counter += limit
            context += limit * count
            windowed += limit * below
            if used > peak:
                peak = used
        else:
            # One step: what runs, then what waits while there is room.
            chunks: list[tuple[int, int, int]] = []
            budget = most_tokens - count * width
            blocks = phases[counter % size]
            tokens, pairs = count * width, 0.0
            if partial >= 0:
                real = prompts[partial] - shifts[partial] - partial_cached
                taken = prompts[partial] - partial_cached if real <= budget else budget
                real = real if real <= budget else budget
                blocks += -(-(partial_cached + taken) // size) + -partial_cached // size
                chunks.append((partial, partial_cached, taken))
                budget -= real
                tokens += real
                pairs += real * (partial_cached + real / 2)
            used += blocks
            if used > kv_blocks:
                return None
            owed += blocks
            if pool is not None and partial >= 0:
                done = min((partial_cached + taken) // size, prefixes[partial] // size)
                if done:
                    shared[partial], owed = pool.extend(owed, shared[partial], done), 0
            partial = -1
            while waiting and budget > 0 and running < most_seqs:
                request = waiting[0]
                prompt = prompts[request]
                hit = unused = 0
                if pool is not None:
                    prefix = prefixes[request]
                    hit, unused = pool.find(owed, (prefix if prefix < prompt else prompt - 1) // size)
                    owed = 0
                cached = hit * size
                if used - -prompt // size - hit + unused > kv_blocks:
                    return None
                real = prompt - shifts[request] - cached
                real = real if real > 1 else 1
                taken = prompt - cached if real <= budget else budget
                real = real if real <= budget else budget
                waiting.popleft()
                running += 1
                start_s[request] = now_s
                blocks = -(-(cached + taken) // size) - hit
                used += blocks + unused
                if pool is not None:
                    cached_tokens += cached
                    done = cached + taken
                    shared[request] = pool.admit(hit, unused, blocks, (done if done < prefix else prefix) // size)
                chunks.append((request, cached, taken))
                budget -= real
                tokens += real
                pairs += real * (cached + real / 2)
            is_blocked = bool(waiting) and not chunks
            held = used
            freed, ended = ended, []
            if chunks or count:
                sequences = count + len(chunks)
                duration_s = table[tokens] + sequence_s * sequences + pair_s * pairs
                if drafted is not None:
                    duration_s += drafted.decode_s[count] + drafted.prefill_s[tokens - count * width]
                duration_s = duration_s + context_s * context + window_s * windowed
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
                windowed += below
                for request, cached, taken in chunks:
                    cached += taken
                    if cached < prompts[request]:
                        partial, partial_cached = request, cached
                        continue
                    first_s[request] = now_s
                    output = outputs[request]
                    if output == 1:
                        done_s[request] = now_s
                        ended.append((request, cached))
                        continue
                    offset = base[request] = cached - counter
                    phases[-offset % size] += 1
                    push(ends, (counter + output - 1) * total + request)
                    count += 1
                    context += cached
                    if window:
                        windowed += min(cached, window)
                        if cached < window:
                            below += 1
                            is_below[request] = True
                            push(crossings, (window - offset) * total + request)
            else:
                last_start_s = now_s  # the pipeline of async scheduling has run empty
        # What has reached the window, and what has made its last token.
        last = (counter + 1) * total
        while crossings and crossings[0] < last:
            request = pop(crossings) % total
            below -= is_below[request]
            is_below[request] = False
        while ends and ends[0] < last:
            request = pop(ends) % total
            offset = base[request]
            cached = offset + counter
            phases[-offset % size] -= 1
            count -= 1
            context -= cached
            if window:
                windowed -= min(cached, window)
                below -= is_below[request]
                is_below[request] = False
            done_s[request] = now_s
            ended.append((request, cached))
        if not is_async:
            freed, ended = ended, []
        if freed:
            for request, cached in freed:
                if pool is not None:
                    pool.release(owed, -(-cached // size), cached // size, shared[request])
                    owed, used = 0, kv_blocks - pool.free
                else:
                    used += -cached // size
            running -= len(freed)
            freed = []
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
        cached_tokens=cached_tokens,
    )
