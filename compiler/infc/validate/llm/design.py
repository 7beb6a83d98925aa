"""Which steps to measure, so that a handful of them tells a server's step times apart.

A step time depends on how many sequences decode, how long they are, how many prompt tokens are computed beside them,
and how much of a prompt is cached already. Each burst moves some of these: so many equal requests at once, and prompts
that join while those decode. All of a burst's requests are known, so each logged step's context is known, too
(`replay`): the log alone does not say it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infc.validate.llm.step_log import LoggedStep

OUTPUT_TOKENS = 40
"""Tokens that the requests of a burst generate: enough steps for a mean, few enough that their context stays alike."""
SHORT_TOKENS = 16
_SIZES = 5
_PROMPTS = 8
_JOINING = 2


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """What a server accepts: `max_model_len` is prompt and output of one request, `kv_cache_tokens` those of all."""

    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    kv_cache_tokens: int


@dataclass(frozen=True, kw_only=True)
class Burst:
    """`requests` equal requests sent together; prompts of `joining` tokens come one by one while they decode."""

    requests: int
    prompt_tokens: int
    output_tokens: int
    joining: tuple[int, ...] = ()

    @property
    def cost(self) -> int:
        """Tokens that it computes, a decoded one counted like the pass over the weights that it needs."""
        decoded = self.output_tokens * (8 + self.requests)
        return self.requests * self.prompt_tokens + sum(self.joining) + decoded


@dataclass(frozen=True, kw_only=True)
class ReplayedStep:
    """A logged step with what its sequences had in their caches before it, decoding and prefilling ones apart."""

    step: LoggedStep
    context_tokens: int
    prefill_context_tokens: int


def design(limits: ServerLimits) -> tuple[Burst, ...]:
    """Bursts within the limits, the cheapest first.

    >>> bursts = design(ServerLimits(max_num_seqs=8, max_num_batched_tokens=512, max_model_len=400,
    ...                              kv_cache_tokens=100_000))
    >>> sorted({burst.requests for burst in bursts}), max(burst.prompt_tokens for burst in bursts)
    ([1, 2, 3, 5, 7, 8], 398)
    """
    output = min(OUTPUT_TOKENS, max(limits.max_model_len // 2, 2))
    longest = max(min(limits.max_model_len, limits.kv_cache_tokens) - output, 1)
    short = min(SHORT_TOKENS, longest)
    found = []
    for count in geometric(1, max(limits.max_num_seqs, 1), _SIZES):
        long = longest if count == 1 else longest // 2
        lengths = {short, min(long, limits.kv_cache_tokens // count - output)}
        for prompt in sorted(length for length in lengths if length >= short):
            found.append(Burst(requests=count, prompt_tokens=prompt, output_tokens=output))
    step = max(min(limits.max_num_batched_tokens, limits.max_model_len - 2), 1)
    alone = {*geometric(min(short, step), step, _PROMPTS), max(limits.max_model_len - 2, 1)}
    found += [Burst(requests=1, prompt_tokens=prompt, output_tokens=2) for prompt in sorted(alone)]
    found += _mixed(limits, short, output)
    return tuple(sorted(dict.fromkeys(found), key=lambda burst: (burst.cost, burst.requests)))


def geometric(first: int, last: int, count: int) -> tuple[int, ...]:
    """Up to `count` whole numbers from `first` to `last`, in equal ratios.

    >>> geometric(1, 256, 5), geometric(1, 3, 5)
    ((1, 4, 16, 64, 256), (1, 2, 3))
    """
    ratio = math.log(last / first)
    return tuple(sorted({round(first * math.exp(ratio * index / (count - 1))) for index in range(count)}))


def replay(burst: Burst, steps: Sequence[LoggedStep]) -> Iterator[ReplayedStep]:
    """The steps of a burst as the scheduler made them: first come, first served, running sequences first.

    Ends at the first step that is not of the burst alone, such as one of another client's request, one that preempted,
    or one that decoded drafted tokens.
    """
    waiting = [(burst.prompt_tokens, burst.output_tokens)] * burst.requests + [(tokens, 1) for tokens in burst.joining]
    running: list[_Sequence] = []
    for step in steps:
        decoding = [each for each in running if each.left == 0]
        if step.decode_seqs != len(decoding) or step.decode_tokens != step.decode_seqs:
            return
        chunks = _chunks(step.prefill_tokens, [each for each in running if each.left], waiting)
        if len(chunks) != step.prefill_seqs or sum(tokens for _, tokens in chunks) != step.prefill_tokens:
            return
        yield ReplayedStep(
            step=step,
            context_tokens=sum(each.cached for each in decoding),
            prefill_context_tokens=sum(each.cached for each, _ in chunks),
        )
        for each in decoding:
            each.cached += 1
            each.to_decode -= 1
        for each, tokens in chunks:
            each.cached += tokens
            each.left -= tokens
            if each not in running:
                running.append(each)
        running = [each for each in running if each.left or each.to_decode]


@dataclass(kw_only=True, eq=False)
class _Sequence:
    """`left` tokens of the prompt are not computed yet, `to_decode` tokens follow the first."""

    left: int
    to_decode: int
    cached: int = 0


def _chunks(tokens: int, partial: Sequence[_Sequence], waiting: list[tuple[int, int]]) -> list[tuple[_Sequence, int]]:
    """Which prompts the step's tokens belong to; takes new ones off `waiting`."""
    chunks = []
    for each in partial:
        if tokens <= 0:
            break
        chunks.append((each, min(each.left, tokens)))
        tokens -= chunks[-1][1]
    while tokens > 0 and waiting:
        prompt, output = waiting.pop(0)
        sequence = _Sequence(left=prompt, to_decode=output - 1)
        chunks.append((sequence, min(prompt, tokens)))
        tokens -= chunks[-1][1]
    return chunks


def _mixed(limits: ServerLimits, short: int, output: int) -> list[Burst]:
    """Prompts computed beside sequences that decode: a few and most of them, short and long prompts."""
    count = limits.max_num_seqs - 1
    room = min(limits.max_model_len - 1, limits.max_num_batched_tokens - count)
    if count < 1 or room <= short:
        return []
    lengths = geometric(short, room, _JOINING + 1)[1:]
    sizes = sorted({max(count // 4, 1), count})
    return [
        Burst(requests=size, prompt_tokens=short, output_tokens=output, joining=lengths)
        for size in sizes
        if size * (short + output) + max(lengths) <= limits.kv_cache_tokens
    ]
