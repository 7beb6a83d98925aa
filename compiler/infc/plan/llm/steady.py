"""What a replica does on average: bounds by arithmetic, so that only promising places are simulated.

In a steady state a step of `s` seconds serves the work of `rate * s` requests: their prompt tokens, one token for each
decoding sequence, and what attention reads. So the mean step follows from the work of one request, and the other way
round. Queueing and chance only make a percentile worse than this mean.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching import Drafting, TokenRequests
from infc.sim.continuous_batching.drafting import decode_steps, draft_seconds, shifts_of

Floats: TypeAlias = npt.NDArray[np.float64]

_POINTS = 240
"""Loads that are looked at: spaced by 2 to 4% over the range of batches."""
MOST_SEQUENCES = 1024
"""Most sequences that a step is planned for. Source: the default of vLLM's max_num_seqs on large GPUs."""


@dataclass(frozen=True, kw_only=True)
class MeanWork:
    """What one request asks for on average, over all its steps.

    `prefill_tokens` are computed for the prompt (what the prefix cache holds is not), `decode_steps` one a token after
    the first, or fewer with drafting: `steps_per_token` of them, each with `width` tokens. `context_tokens` and
    `windowed_tokens` sum the tokens in its cache over its decoding steps, `pairs` are the (query, key) pairs of its
    prompt. `held_tokens` is the mean length of its cache while it decodes.
    """

    prefill_tokens: float
    decode_steps: float
    steps_per_token: float
    width: int
    context_tokens: float
    windowed_tokens: float
    pairs: float
    held_tokens: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoding:
    """Decoding steps of each request, and the length of its cache as they begin; float64[requests].

    `width` is how many tokens a sequence has in a step, `per_token` the steps for each token after the first.
    """

    steps: Floats
    begun: Floats
    per_token: Floats
    width: int


def decoding_of(requests: TokenRequests, drafting: Drafting | None = None) -> Decoding:
    """How the requests decode: one step a token, or as a draw of what is accepted has it."""
    tokens = np.maximum(requests.output_tokens.astype(np.float64) - 1.0, 0.0)
    prompts = requests.prompt_tokens.astype(np.float64)
    if drafting is None:
        return Decoding(steps=tokens, begun=prompts, per_token=(tokens > 0).astype(np.float64), width=1)
    steps = decode_steps(requests.output_tokens, drafting)
    return Decoding(
        steps=steps.astype(np.float64),
        begun=prompts + shifts_of(requests.output_tokens, steps, drafting),
        per_token=steps / np.maximum(tokens, 1.0),
        width=drafting.width,
    )


def mean_work(requests: TokenRequests, window_tokens: int | None, decoding: Decoding | None = None) -> MeanWork:
    """The mean over the requests, which decode one token a step unless told otherwise.

    >>> two = TokenRequests(arrivals_s=np.arange(2.0), prompt_tokens=np.array([10, 30]),
    ...                     output_tokens=np.array([3, 3]), prefix_tokens=np.array([0, 0]))
    >>> work = mean_work(two, None)
    >>> (work.prefill_tokens, work.decode_steps, work.context_tokens, work.held_tokens)
    (20.0, 2.0, 43.0, 21.5)
    """
    prompts = requests.prompt_tokens.astype(np.float64)
    computed = prompts - requests.prefix_tokens
    decoding = decoding or decoding_of(requests)
    decoded, prompts = decoding.steps, decoding.begun
    context = decoded * prompts + decoded * (decoded + 1) / 2
    windowed = np.zeros_like(context)
    if window_tokens is not None:
        below = np.clip(window_tokens - prompts, 0.0, decoded)
        windowed = below * prompts + below * (below + 1) / 2 + (decoded - below) * window_tokens
    total = float(decoded.sum())
    several = decoded > 0
    return MeanWork(
        prefill_tokens=float(computed.mean()),
        decode_steps=float(decoded.mean()),
        steps_per_token=float(decoding.per_token[several].mean()) if several.any() else 1.0,
        width=decoding.width,
        context_tokens=float(context.mean()),
        windowed_tokens=float(windowed.mean()),
        pairs=float((computed * (requests.prefix_tokens + computed / 2)).mean()),
        held_tokens=float(context.sum()) / total if total else float(prompts.mean()),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class SteadyStates:
    """A replica at rising loads: mean step, decoding sequences in it, its tokens; float64[loads]."""

    rate_rps: Floats
    step_s: Floats
    sequences: Floats
    tokens: Floats

    def largest_rate_rps(
        self, *, step_limit_s: float = np.inf, sequences: float = np.inf, tokens: float = np.inf
    ) -> float:
        """The highest rate at which the mean step keeps all limits; 0 where it keeps them at none."""
        holds = (self.step_s <= step_limit_s) & (self.sequences <= sequences) & (self.tokens <= tokens)
        return float(self.rate_rps[holds].max(initial=0.0))


def steady_states(work: MeanWork, steps: StepTimeModel, drafting: Drafting | None = None) -> SteadyStates:
    """The states of a replica from the least load that keeps it busy to `MOST_SEQUENCES` decoding sequences.

    A load is the work of how many requests one step does; the least has one token in a step.
    """
    per_request = work.prefill_tokens + work.width * work.decode_steps
    least = 1.0 / per_request
    most = MOST_SEQUENCES / work.decode_steps if work.decode_steps >= 1.0 else MOST_SEQUENCES
    load = np.geomspace(least, max(most, 2 * least), _POINTS)
    tokens = load * per_request
    seconds = steps.fixed_s + _token_s(steps, tokens)
    each_s = (
        steps.sequence_s * (work.decode_steps + min(1.0, work.prefill_tokens)) + steps.context_s * work.context_tokens
    )
    each_s += steps.window_s * work.windowed_tokens + steps.pair_s * work.pairs
    seconds = seconds + load * each_s
    if drafting is not None:
        sequences = load * work.decode_steps
        seconds = seconds + np.minimum(sequences, 1.0) * draft_seconds(drafting, np.maximum(sequences, 1.0))
    return SteadyStates(rate_rps=load / seconds, step_s=seconds, sequences=load * work.decode_steps, tokens=tokens)


def alone_s(
    requests: TokenRequests,
    steps: StepTimeModel,
    budget_tokens: int,
    decoding: Decoding | None = None,
    drafting: Drafting | None = None,
) -> tuple[Floats, Floats]:
    """TTFT and TPOT of each request on a replica without any other, in seconds: no load makes them better.

    `budget_tokens` is the largest token budget of a step that is considered: fewer steps are never slower.
    """
    prompts = requests.prompt_tokens.astype(np.float64)
    computed = prompts - requests.prefix_tokens
    chunks = np.maximum(np.ceil(computed / budget_tokens), 1.0)
    prefill_s = chunks * (steps.fixed_s + steps.sequence_s + _token_s(steps, computed / chunks))
    prefill_s += steps.pair_s * computed * (requests.prefix_tokens + computed / 2)
    decoding = decoding or decoding_of(requests, drafting)
    context = decoding.begun + (decoding.steps + 1) / 2
    windowed = np.minimum(context, steps.window_tokens) if steps.window_tokens is not None else 0.0 * context
    first_s = float(_token_s(steps, np.full(1, float(decoding.width)))[0])
    step_s = steps.fixed_s + first_s + steps.sequence_s + steps.context_s * context + steps.window_s * windowed
    if drafting is not None:
        step_s = step_s + float(draft_seconds(drafting, np.ones(1))[0])
    return steps.request_s + prefill_s, step_s * decoding.per_token


def _token_s(steps: StepTimeModel, tokens: Floats) -> Floats:
    """The part of a step that depends on its tokens, for any positive number of them."""
    knots, values = np.asarray(steps.token_knots, dtype=np.float64), np.asarray(steps.token_s)
    found = np.interp(tokens, knots, values)
    if len(knots) > 1:
        found = found + (values[-1] - values[-2]) / (knots[-1] - knots[-2]) * np.maximum(tokens - knots[-1], 0.0)
    return np.asarray(found, dtype=np.float64)
