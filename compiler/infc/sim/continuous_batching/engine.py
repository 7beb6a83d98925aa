"""The scheduler of vLLM (V1), step by step, with stretches of like steps in one go.

A step first serves the running sequences in order of admission: one token for each that decodes, the next chunk for
each whose prompt is not done. Then waiting requests are admitted, first come, first served, within what is left of the
token budget, up to `max_num_seqs`, while the KV cache has blocks for all of their tokens. When a running sequence finds
no block, the newest is preempted: it loses its place and its blocks, and goes back to the head of the queue.

Source: vLLM 0.32, v1/core/sched/scheduler.py (schedule, _preempt_request), v1/core/kv_cache_manager.py
(allocate_slots, get_computed_blocks) and v1/engine/core.py (step, step_with_batch_queue).
"""

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching.blocks import BlockPool, Hit
from infc.sim.continuous_batching.decoding import Decoding
from infc.sim.continuous_batching.drafting import Drafted
from infc.sim.continuous_batching.requests import Gaps
from infc.sim.continuous_batching.step import token_table

SAME_TIME_S = 1e-9
"""Times that differ by no more are the same: sums of steps are not exact."""


class Chunk(NamedTuple):
    """What a step computes of a prompt: `tokens`, after the `cached` ones that the cache holds."""

    request: int
    cached: int
    tokens: int


Successor: TypeAlias = Callable[[float], None]
"""Called with the time of a request's last token."""


class Engine:
    """One replica. Requests are numbered from 0: `add` one after the other in order of time, then `run`.

    Results, by request: `first_s` and `done_s`, when the first and the last token came, and `start_s`, when a step
    first worked on it. `block_seconds` and `sequence_seconds` are the KV blocks in use
    and the sequences in steps, summed over the time in which steps ran.
    """

    def __init__(
        self,
        steps: StepTimeModel,
        batching: ContinuousBatching,
        kv_blocks: int,
        block_tokens: int,
        *,
        has_async_scheduling: bool = False,
        on_done: Successor | None = None,
        drafted: Drafted | None = None,
    ) -> None:
        self._drafted = drafted
        self._width = 1 if drafted is None else drafted.width
        self._steps, self._batching = steps, batching
        self._kv_blocks, self._block_tokens = kv_blocks, block_tokens
        self._is_async, self._on_done = has_async_scheduling, on_done
        self._table = token_table(steps, batching.max_num_batched_tokens)
        self._pool = BlockPool(kv_blocks, has_caching=batching.has_prefix_caching)

        self._prompt: list[int] = []
        self._shift: list[int] = []  # tokens of the prompt that only its cache counts
        self._output: list[int] = []
        self._prefix_blocks: list[int] = []
        self._emitted: list[int] = []  # while it does not decode: tokens that it has made
        self._shared: list[int] = []  # blocks of the common prefix that it holds
        self.first_s: list[float] = []
        self.done_s: list[float] = []
        self.start_s: list[float] = []

        self._arrivals: deque[tuple[float, int]] = deque()
        self._waiting: deque[int] = deque()
        self._is_blocked = False  # the head of the queue cannot be admitted before a sequence ends
        self._running: dict[int, None] = {}  # in order of admission
        self._prefilling: dict[int, int] = {}  # running, prompt not done: tokens in its cache
        self._decoding = Decoding(block_tokens, steps.window_tokens)
        self._ended: list[tuple[int, int]] = []  # async: done, but the scheduler decides before it knows
        self._behind: dict[int, float] = {}  # decoding, but not in the last step: when its last token came
        self._preempted: dict[int, float] = {}  # preempted after its first token: when its last token came

        self._now_s = self._last_start_s = 0.0
        self.busy_s = self.block_seconds = self.sequence_seconds = 0.0
        self.peak_blocks = self.preemptions = self.cached_tokens = 0
        self.gaps: list[Gaps] = []

    def add(self, at_s: float, prompt: int, output: int, prefix: int) -> None:
        """The next request reaches the scheduler at `at_s`; its first `prefix` tokens are shared with all others.

        With drafting `output` counts its steps, and `prompt` the shift of its cache.
        """
        self._shift.append(0 if self._drafted is None else self._drafted.shifts[len(self._prompt)])
        self._arrivals.append((at_s, len(self._prompt)))
        self._prompt.append(prompt)
        self._output.append(output)
        self._prefix_blocks.append(prefix // self._block_tokens)
        self._emitted.append(0)
        self._shared.append(0)
        for times in (self.first_s, self.done_s, self.start_s):
            times.append(-1.0)

    def run(self) -> None:
        """Serve every request."""
        while True:
            self._receive()
            if not self._running and not self._waiting:
                if not self._arrivals:
                    return
                self._now_s = self._last_start_s = max(self._now_s, self._arrivals[0][0])
                continue
            is_steady = not (self._prefilling or self._behind or self._ended)
            if not (is_steady and (self._is_blocked or not self._waiting) and self._stretch()):
                self._step()

    def _receive(self) -> None:
        """Queue what has come when the scheduler decides; under async scheduling that is as the last step began."""
        visible_s = (self._last_start_s if self._is_async else self._now_s) + SAME_TIME_S
        while self._arrivals and self._arrivals[0][0] <= visible_s:
            self._waiting.append(self._arrivals.popleft()[1])

    # A stretch of steps in which the same sequences decode.

    def _stretch(self) -> bool:
        """Run steps until a sequence ends, a request comes or the blocks run out; False where not one is possible."""
        decoding, pool, steps = self._decoding, self._pool, self._steps
        count = decoding.count
        limit = decoding.steps_to_change()
        first_s = self._decode_s()
        growth_s = steps.context_s * count + steps.window_s * decoding.below_window
        if self._arrivals and not self._is_blocked:
            limit = self._steps_until(self._arrivals[0][0], first_s, growth_s, limit)
        blocks = decoding.blocks_needed(limit)
        if blocks > pool.free:
            limit = decoding.steps_within(limit, pool.free)
            if limit == 0:
                return False
            blocks = decoding.blocks_needed(limit)
        duration_s = _elapsed_s(limit, first_s, growth_s)
        used = self._kv_blocks - pool.free
        pool.take(blocks)
        self._count(duration_s, count, used + blocks / 2)
        self.peak_blocks = max(self.peak_blocks, used + blocks)
        self.gaps.append((first_s, growth_s, limit, count))
        self._last_start_s = self._now_s - (first_s + growth_s * (limit - 1))
        decoding.advance(limit)
        self._end(decoding.pop_ended())
        return True

    def _decode_s(self) -> float:
        """Seconds of a step in which everything that decodes takes part, and nothing else."""
        steps, decoding = self._steps, self._decoding
        seconds = self._table[decoding.count * self._width]
        if self._drafted is not None:
            seconds += self._drafted.decode_s[decoding.count]
        seconds += steps.sequence_s * decoding.count
        return seconds + steps.context_s * decoding.context + steps.window_s * decoding.windowed

    def _steps_until(self, at_s: float, first_s: float, growth_s: float, most: int) -> int:
        """Steps before the scheduler sees a request that comes at `at_s`, or `most` where that is fewer."""
        left_s = at_s - self._now_s - SAME_TIME_S
        if left_s <= 0.0:
            return 1
        # The positive root of the quadratic in the number of steps, then exact.
        steepness = first_s - growth_s / 2
        root = math.sqrt(max(steepness * steepness + 2 * growth_s * left_s, 0.0))
        found = max(min(math.ceil(2 * left_s / (steepness + root)), most), 1)
        while found > 1 and _elapsed_s(found - 1, first_s, growth_s) >= left_s:
            found -= 1
        while found < most and _elapsed_s(found, first_s, growth_s) < left_s:
            found += 1
        return min(found + self._is_async, most)

    # One step.

    def _step(self) -> None:
        """Schedule a step and run it."""
        has_company = len(self._running) + len(self._waiting) > 1
        cap = self._batching.long_prefill_tokens if has_company else 0
        chunks: list[Chunk] = []
        left_out: list[int] = []
        preemptions = self.preemptions
        budget = self._serve_running(cap, chunks, left_out)
        if self.preemptions == preemptions:
            self._admit(budget, cap, chunks)
        decoding, used = self._decoding, self._kv_blocks - self._pool.free
        for request, cached in self._ended:
            self._free(request, cached)
        self._ended = []
        if chunks or decoding.count > len(left_out):
            duration_s = self._step_s(chunks, left_out)
            self._count(duration_s, decoding.count - len(left_out) + len(chunks), used)
            self.peak_blocks = max(self.peak_blocks, used)
            self._last_start_s = self._now_s - duration_s
            self._note_gaps(duration_s, left_out)
            self._advance(left_out)
            for chunk in chunks:
                self._computed(chunk)
        else:
            self._last_start_s = self._now_s  # the pipeline of async scheduling has run empty
        self._end(decoding.pop_ended())

    def _serve_running(self, cap: int, chunks: list[Chunk], left_out: list[int]) -> int:
        """Give each running sequence its tokens and blocks. Returns: what is left of the token budget.

        Usually all that decode are served and one prompt at most, the last admitted, is not done. Else one by one.
        """
        budget = self._batching.max_num_batched_tokens - self._decoding.count * self._width
        need = self._decoding.blocks_needed()
        if self._prefilling:
            request, cached = next(iter(self._prefilling.items()))
            if len(self._prefilling) > 1 or next(reversed(self._running)) != request:
                return self._serve_in_order(cap, chunks, left_out)
            tokens = self._chunk_tokens(request, cached, cap, budget)
            need += self._blocks(cached + tokens) - self._blocks(cached)
            chunks.append(chunk := Chunk(request, cached, tokens))
            budget -= self._computed_tokens(chunk)
        if need > self._pool.free:
            chunks.clear()
            return self._serve_in_order(cap, chunks, left_out)
        self._pool.take(need)
        for chunk in chunks:
            self._share(chunk)
        return budget

    def _serve_in_order(self, cap: int, chunks: list[Chunk], left_out: list[int]) -> int:
        """`_serve_running` one by one, preempting from the end where blocks run out."""
        budget = self._batching.max_num_batched_tokens
        done = {request for request, _ in self._ended}
        order = [request for request in self._running if request not in done]
        position = 0
        while position < len(order) and budget > 0:
            request = order[position]
            if request in self._decoding:
                cached, tokens = self._decoding.cached(request), 1
            else:
                cached = self._prefilling[request]
                tokens = self._chunk_tokens(request, cached, cap, budget)
            cost = self._width
            need = self._blocks(cached + tokens) - self._blocks(cached)
            while need > self._pool.free and len(order) > position:
                self._preempt(order.pop())
            if len(order) == position:
                break
            self._pool.take(need)
            if request in self._prefilling:
                chunks.append(chunk := Chunk(request, cached, tokens))
                cost = self._computed_tokens(chunk)
                self._share(chunk)
            budget -= cost
            position += 1
        left_out += [request for request in order[position:] if request in self._decoding]
        return budget

    def _admit(self, budget: int, cap: int, chunks: list[Chunk]) -> None:
        """Admit waiting requests, in order, until one does not fit."""
        waiting, running, batching = self._waiting, self._running, self._batching
        has_chunks = bool(chunks)
        while waiting and budget > 0 and len(running) < batching.max_num_seqs:
            request = waiting[0]
            all_tokens = self._prompt[request] + self._emitted[request]
            limit = (all_tokens - 1) // self._block_tokens
            hit = self._pool.find(request, self._prefix_blocks[request], limit)
            cached = hit.blocks * self._block_tokens
            real = max(all_tokens - self._shift[request] - cached, 1)
            if (min(real, cap) if cap else real) > budget and not batching.has_chunked_prefill:
                break
            tokens = self._chunk_tokens(request, cached, cap, budget)
            if self._blocks(all_tokens) - hit.blocks + hit.queued > self._pool.free:
                break
            waiting.popleft()
            running[request] = None
            self._prefilling[request] = cached
            self._start(request, hit, cached)
            self._pool.take(self._blocks(cached + tokens) - hit.blocks)
            chunks.append(chunk := Chunk(request, cached, tokens))
            self._share(chunk)
            budget -= self._computed_tokens(chunk)
            has_chunks = True
        self._is_blocked = bool(waiting) and not has_chunks

    def _start(self, request: int, hit: Hit, cached: int) -> None:
        self._pool.use(request, hit)
        self._shared[request] = hit.shared
        if self.start_s[request] < 0.0:
            self.start_s[request] = self._now_s
            self.cached_tokens += cached

    def _share(self, chunk: Chunk) -> None:
        """What a chunk computes of the common prefix can be used by others from the same step on."""
        prefix = self._prefix_blocks[chunk.request]
        if prefix and self._batching.has_prefix_caching:
            computed = min((chunk.cached + chunk.tokens) // self._block_tokens, prefix)
            self._shared[chunk.request] = self._pool.extend(self._shared[chunk.request], computed)

    def _preempt(self, request: int) -> None:
        if request in self._decoding:
            remaining = self._decoding.remaining(request)
            self._emitted[request] = self._output[request] - remaining
            self._preempted[request] = self._behind.pop(request, self._now_s)
            cached = self._decoding.remove(request)
        else:
            cached = self._prefilling.pop(request)
        self.preemptions += 1
        self._free(request, cached, is_coming_back=True)
        self._waiting.appendleft(request)

    def _step_s(self, chunks: list[Chunk], left_out: list[int]) -> float:
        steps, decoding = self._steps, self._decoding
        seqs, context, windowed = decoding.count - len(left_out), decoding.context, decoding.windowed
        for request in left_out:
            cached = decoding.cached(request)
            context -= cached
            windowed -= min(cached, steps.window_tokens or 0)
        tokens, pairs = seqs * self._width, 0.0
        for chunk in chunks:
            count = self._computed_tokens(chunk)
            tokens += count
            pairs += count * (chunk.cached + count / 2)
        seconds = self._table[tokens] + steps.sequence_s * (seqs + len(chunks)) + steps.pair_s * pairs
        if self._drafted is not None:
            seconds += self._drafted.decode_s[seqs] + self._drafted.prefill_s[tokens - seqs * self._width]
        return seconds + steps.context_s * context + steps.window_s * windowed

    def _note_gaps(self, duration_s: float, left_out: list[int]) -> None:
        """The gaps that end with the step that ends now."""
        regular = self._decoding.count - len(left_out)
        if self._behind:
            for request in [each for each in self._behind if each not in left_out]:
                self.gaps.append((self._now_s - self._behind.pop(request), 0.0, 1, 1))
                regular -= 1
        if regular:
            self.gaps.append((duration_s, 0.0, 1, regular))

    def _advance(self, left_out: list[int]) -> None:
        """One token for everything that decodes but for what was left out of the step."""
        decoding = self._decoding
        held = [(request, decoding.remaining(request), decoding.remove(request)) for request in left_out]
        decoding.advance(1)
        for request, remaining, cached in held:
            decoding.add(request, cached, remaining)
            self._behind.setdefault(request, self._last_start_s)

    def _computed(self, chunk: Chunk) -> None:
        """A chunk is done: the prompt goes on, or its next token has come."""
        request, cached = chunk.request, chunk.cached + chunk.tokens
        if cached < self._prompt[request] + self._emitted[request]:
            self._prefilling[request] = cached
            return
        del self._prefilling[request]
        emitted = self._emitted[request] = self._emitted[request] + 1
        if emitted == 1:
            self.first_s[request] = self._now_s
        else:
            self.gaps.append((self._now_s - self._preempted.pop(request), 0.0, 1, 1))
        if emitted == self._output[request]:
            self._end([(request, cached)])
        else:
            self._decoding.add(request, cached, self._output[request] - emitted)

    # Ends.

    def _end(self, ended: list[tuple[int, int]]) -> None:
        """Requests have made their last token."""
        for request, cached in ended:
            self.done_s[request] = self._now_s
            if self._is_async:
                self._ended.append((request, cached))
            else:
                self._free(request, cached)
            if self._on_done is not None:
                self._on_done(self._now_s)

    def _free(self, request: int, cached: int, *, is_coming_back: bool = False) -> None:
        """Give up place and blocks."""
        del self._running[request]
        full = cached // self._block_tokens
        shared, self._shared[request] = self._shared[request], 0
        self._pool.release(request, self._blocks(cached), full, shared, is_coming_back=is_coming_back)
        self._is_blocked = False

    # Numbers.

    def _chunk_tokens(self, request: int, cached: int, cap: int, budget: int) -> int:
        """Tokens of the next chunk, with the shift of the cache where it is the last one."""
        left = self._prompt[request] + self._emitted[request] - cached
        most = min(cap, budget) if cap else budget
        return left if max(left - self._shift[request], 1) <= most else most

    def _computed_tokens(self, chunk: Chunk) -> int:
        """Tokens of a chunk that are computed: all but the shift of the cache."""
        request = chunk.request
        is_last = chunk.cached + chunk.tokens == self._prompt[request] + self._emitted[request]
        return max(chunk.tokens - self._shift[request], 1) if is_last else chunk.tokens

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._block_tokens)

    def _count(self, duration_s: float, sequences: int, blocks: float) -> None:
        self.busy_s += duration_s
        self._now_s += duration_s
        self.sequence_seconds += duration_s * sequences
        self.block_seconds += duration_s * blocks


def _elapsed_s(steps: int, first_s: float, growth_s: float) -> float:
    """Seconds of `steps` steps, the first of `first_s` and each by `growth_s` longer than the one before.

    >>> _elapsed_s(3, 10.0, 1.0)
    33.0
    """
    return steps * first_s + growth_s * (steps * (steps - 1) / 2)
