"""Speculative decoding: a step checks drafted tokens and yields those that are accepted, and one more.

A step of a request counts as one step of its decoding, whatever it yields: how many steps it takes is drawn before.
Its cache grows by one token a step; half of what grows beyond that counts from the start, so that what attention reads
and what the cache holds are right on average.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching.requests import Floats, Integers
from infc.sim.continuous_batching.step import token_seconds


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """`tokens` are drafted a step, each accepted with chance `acceptance` if those before it were.

    `steps` are one pass of the drafter, which drafts one token for each sequence; None where drafting costs nothing.
    """

    tokens: int
    acceptance: float
    seed: int = 0
    steps: StepTimeModel | None = None

    @property
    def width(self) -> int:
        """Tokens that a sequence has in a step: those drafted, and the one before them."""
        return self.tokens + 1


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """Drafting as the simulators run it.

    `steps` and `shifts` are by request: decoding steps after the first token, and tokens that its cache counts from the
    start. `decode_s` is the time of drafting by decoding sequences, `prefill_s` by tokens of prompts.
    """

    width: int
    steps: Sequence[int]
    shifts: Sequence[int]
    decode_s: Sequence[float]
    prefill_s: Sequence[float]


def expected_tokens(tokens: int, acceptance: float) -> float:
    """Tokens that a step yields on average.

    Source: Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding", equation 1.

    >>> expected_tokens(0, 0.5), expected_tokens(3, 0.5), expected_tokens(3, 1.0)
    (1.0, 1.875, 4.0)
    """
    return float(sum(acceptance**drafted for drafted in range(tokens + 1)))


def decode_steps(output_tokens: Integers, drafting: Drafting) -> Integers:
    """Steps after the first token of each request; with one seed never more where more is accepted.

    >>> decode_steps(np.array([1, 2, 9]), Drafting(tokens=3, acceptance=1.0)).tolist()
    [0, 1, 2]
    >>> decode_steps(np.array([1, 2, 9]), Drafting(tokens=3, acceptance=0.0)).tolist()
    [0, 1, 8]
    """
    left = np.maximum(np.asarray(output_tokens, dtype=np.int64) - 1, 0)
    begins = np.concatenate(([0], np.cumsum(left)))
    uniform = np.random.default_rng(drafting.seed).random(int(begins[-1]))
    yielded = np.cumsum(1 + _accepted(uniform, drafting))
    before = np.concatenate(([0], yielded))[begins[:-1]]
    return np.asarray(np.searchsorted(yielded, before + left) + 1 - begins[:-1], dtype=np.int64) * (left > 0)


def _accepted(uniform: Floats, drafting: Drafting) -> Integers:
    """Accepted tokens of each step: as many as have a chance of at least the drawn number, all together."""
    chances = drafting.acceptance ** np.arange(drafting.tokens, 0, -1)
    return np.asarray(drafting.tokens - np.searchsorted(chances, uniform, side="right"), dtype=np.int64)


def shifts_of(output_tokens: Integers, steps: Integers, drafting: Drafting) -> Integers:
    """Tokens that the cache of each request counts from the start: half of those beyond one a step, and the drafted."""
    left = np.maximum(np.asarray(output_tokens, dtype=np.int64) - 1, 0)
    return np.where(left > 0, (left - steps) // 2 + drafting.tokens, 0)


def drafted_of(output_tokens: Integers, drafting: Drafting, batching: ContinuousBatching) -> Drafted:
    """The draw for these requests, and the times of drafting up to the limits of the scheduler.

    Raises:
        ValueError: the token budget does not hold what as many sequences as are allowed have in a step.
    """
    if batching.max_num_seqs * drafting.width > batching.max_num_batched_tokens:
        raise ValueError("with drafting, max_num_batched_tokens holds max_num_seqs times the drafted tokens and one")
    steps = decode_steps(output_tokens, drafting)
    shifts = shifts_of(output_tokens, steps, drafting)
    return Drafted(
        width=drafting.width,
        steps=steps.tolist(),
        shifts=shifts.tolist(),
        decode_s=draft_seconds(drafting, np.arange(batching.max_num_seqs + 1)).tolist(),
        prefill_s=_prefill_seconds(drafting, np.arange(batching.max_num_batched_tokens + 1)).tolist(),
    )


def draft_seconds(drafting: Drafting, sequences: Integers | Floats) -> Floats:
    """Seconds of drafting for so many sequences: one pass for each token, one after the other."""
    if drafting.steps is None:
        return np.zeros(len(sequences))
    one = drafting.steps.fixed_s + token_seconds(drafting.steps, sequences) + drafting.steps.sequence_s * sequences
    return np.where(sequences > 0, drafting.tokens * one, 0.0)


def _prefill_seconds(drafting: Drafting, tokens: Integers) -> Floats:
    """Seconds of the pass that fills the drafter's own cache with so many tokens of prompts."""
    if drafting.steps is None:
        return np.zeros(len(tokens))
    return np.where(tokens > 0, drafting.steps.fixed_s + token_seconds(drafting.steps, tokens), 0.0)
