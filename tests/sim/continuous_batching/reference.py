"""A second, plain implementation of the scheduler: one step at a time, one block at a time, every sequence visited.

Slow, and close to how vLLM is written: sequences in lists, blocks with reference counts and hashes in a queue.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching import TokenRequests
from infc.sim.continuous_batching.step import token_table

Hash = tuple[int, int]
SAME_TIME_S = 1e-9


@dataclass(eq=False)
class Block:
    """A block of the cache; hashed once it is full."""

    hash: Hash | None = None
    references: int = 0


@dataclass(eq=False)
class Sent:
    """A request."""

    number: int
    at_s: float
    prompt: int
    output: int
    prefix: int
    computed: int = 0
    emitted: int = 0
    blocks: list[Block] = field(default_factory=list)
    token_s: list[float] = field(default_factory=list)
    start_s: float | None = None
    is_prefilling: bool = True

    @property
    def tokens(self) -> int:
        """Prompt and generated tokens."""
        return self.prompt + self.emitted

    @property
    def is_done(self) -> bool:
        """Whether the last token has come."""
        return self.emitted == self.output


class Pool:
    """Blocks in a queue of free ones, and by hash."""

    def __init__(self, count: int, size: int, has_caching: bool) -> None:
        self.size, self.has_caching, self.total = size, has_caching, count
        self.free: deque[Block] = deque(Block() for _ in range(count))
        self.by_hash: dict[Hash, list[Block]] = {}

    def hash_of(self, sequence: Sent, index: int) -> Hash:
        """Blocks of the common prefix are alike in all requests."""
        return (-1, index) if (index + 1) * self.size <= sequence.prefix else (sequence.number, index)

    def find(self, sequence: Sent) -> list[Block]:
        """The cached blocks at the start of a sequence, but for its last token."""
        found: list[Block] = []
        while self.has_caching and len(found) < (sequence.tokens - 1) // self.size:
            same = self.by_hash.get(self.hash_of(sequence, len(found)))
            if not same:
                break
            found.append(same[0])
        return found

    def touch(self, blocks: Sequence[Block]) -> None:
        """Hold cached blocks."""
        for block in blocks:
            if block.references == 0:
                self.free.remove(block)
            block.references += 1

    def grow(self, sequence: Sent, tokens: int) -> None:
        """Take blocks until `tokens` more fit, and hash the full ones."""
        end = sequence.computed + tokens
        while len(sequence.blocks) * self.size < end:
            block = self.free.popleft()
            if block.hash is not None:
                self.by_hash[block.hash].remove(block)
            block.hash, block.references = None, 1
            sequence.blocks.append(block)
        for index in range(end // self.size):
            block = sequence.blocks[index]
            if self.has_caching and block.hash is None:
                block.hash = self.hash_of(sequence, index)
                self.by_hash.setdefault(block.hash, []).append(block)

    def release(self, sequence: Sent) -> None:
        """Full blocks to the end of the queue, the last of the sequence first; others to its front."""
        last, first = [], []
        for block in reversed(sequence.blocks):
            block.references -= 1
            if block.references == 0:
                (first if block.hash is None else last).append(block)
        self.free.extendleft(reversed(first))
        self.free.extend(last)
        sequence.blocks = []


@dataclass
class Outcome:
    """Times by request, and what the server did; `steps` holds tokens and running sequences of each step."""

    first_s: list[float] = field(default_factory=list)
    done_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    preemptions: int = 0
    busy_s: float = 0.0
    sequence_seconds: float = 0.0
    block_seconds: float = 0.0
    cached: int = 0


def serve(
    requests: TokenRequests,
    steps: StepTimeModel,
    batching: ContinuousBatching,
    kv_cache_tokens: int,
    block_tokens: int,
    is_async: bool,
) -> Outcome:
    """Serve all requests, one step at a time."""
    columns = (requests.arrivals_s, requests.prompt_tokens, requests.output_tokens, requests.prefix_tokens)
    sequences = [
        Sent(number, float(at) + steps.request_s, int(prompt), int(output), int(prefix))
        for number, (at, prompt, output, prefix) in enumerate(zip(*columns, strict=True))
    ]
    pool = Pool(kv_cache_tokens // block_tokens, block_tokens, batching.has_prefix_caching)
    outcome = Outcome()
    table = token_table(steps, batching.max_num_batched_tokens)
    arrivals, waiting, running = deque(sequences), deque[Sent](), list[Sent]()
    ended: list[Sent] = []
    now_s = last_s = 0.0
    while arrivals or waiting or running:
        if not waiting and not running:
            now_s = last_s = max(now_s, arrivals[0].at_s)
        while arrivals and arrivals[0].at_s <= (last_s if is_async else now_s) + SAME_TIME_S:
            waiting.append(arrivals.popleft())
        scheduled = _schedule(running, waiting, ended, pool, batching, outcome, now_s)
        used = pool.total - len(pool.free)
        for sequence in ended:
            running.remove(sequence)
            pool.release(sequence)
        ended.clear()
        last_s = now_s
        if not scheduled:
            continue
        seconds = _seconds(scheduled, steps, table)
        now_s += seconds
        outcome.busy_s += seconds
        outcome.block_seconds += seconds * used
        outcome.sequence_seconds += seconds * len(scheduled)
        outcome.steps.append((sum(tokens for _, tokens in scheduled), len(scheduled)))
        for sequence, tokens in scheduled:
            sequence.computed += tokens
            if sequence.computed == sequence.tokens:
                sequence.is_prefilling = False
                sequence.emitted += 1
                sequence.token_s.append(now_s)
                if sequence.is_done:
                    ended.append(sequence)
        if not is_async:
            for sequence in ended:
                running.remove(sequence)
                pool.release(sequence)
            ended.clear()
    for sequence in sequences:
        assert sequence.start_s is not None
        outcome.first_s.append(sequence.token_s[0])
        outcome.done_s.append(sequence.token_s[-1])
        outcome.start_s.append(sequence.start_s)
        outcome.gaps += [b - a for a, b in zip(sequence.token_s, sequence.token_s[1:], strict=False)]
    return outcome


def _schedule(
    running: list[Sent],
    waiting: deque[Sent],
    ended: list[Sent],
    pool: Pool,
    batching: ContinuousBatching,
    outcome: Outcome,
    now_s: float,
) -> list[tuple[Sent, int]]:
    size = pool.size
    cap = batching.long_prefill_tokens if len(running) + len(waiting) > 1 else 0
    budget = batching.max_num_batched_tokens
    scheduled: list[tuple[Sent, int]] = []
    preempted = False
    index = 0
    while index < len(running) and budget > 0:
        sequence = running[index]
        if sequence in ended:
            index += 1
            continue
        tokens = min(sequence.tokens - sequence.computed, cap or budget, budget)
        need = -(-(sequence.computed + tokens) // size) - len(sequence.blocks)
        while need > len(pool.free) and sequence in running:
            victim = next(each for each in reversed(running) if each not in ended)
            running.remove(victim)
            pool.release(victim)
            victim.computed = 0
            victim.is_prefilling = True
            waiting.appendleft(victim)
            outcome.preemptions += 1
            preempted = True
        if sequence not in running:
            break
        pool.grow(sequence, tokens)
        scheduled.append((sequence, tokens))
        budget -= tokens
        index += 1
    while not preempted and waiting and budget > 0 and len(running) < batching.max_num_seqs:
        sequence = waiting[0]
        hit = pool.find(sequence)
        cached = len(hit) * size
        tokens = sequence.tokens - cached
        if cap:
            tokens = min(tokens, cap)
        if tokens > budget and not batching.has_chunked_prefill:
            break
        tokens = min(tokens, budget)
        queued = sum(block.references == 0 for block in hit)
        if -(-sequence.tokens // size) - len(hit) + queued > len(pool.free):
            break
        waiting.popleft()
        running.append(sequence)
        if sequence.start_s is None:
            sequence.start_s = now_s
            outcome.cached += cached
        pool.touch(hit)
        sequence.blocks = list(hit)
        sequence.computed = cached
        pool.grow(sequence, tokens)
        scheduled.append((sequence, tokens))
        budget -= tokens
    return scheduled


def _seconds(scheduled: Sequence[tuple[Sent, int]], steps: StepTimeModel, table: list[float]) -> float:
    total = sum(tokens for _, tokens in scheduled)
    seconds = table[total] + steps.sequence_s * len(scheduled)
    for sequence, tokens in scheduled:
        if sequence.is_prefilling:
            seconds += steps.pair_s * tokens * (sequence.computed + tokens / 2)
        else:
            seconds += steps.context_s * sequence.computed
            if steps.window_tokens is not None:
                seconds += steps.window_s * min(sequence.computed, steps.window_tokens)
    return seconds
