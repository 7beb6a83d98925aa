"""Step times of a given model, for steps as vLLM's scheduler plans them. Runs where infc is not installed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypedDict

ANSWER = 7
"""The token that every sequence gets."""


class PaceModel(TypedDict):
    """A step-time model, by the same formula as `infc.ir.step_time.StepTimeModel`, without its attention window.

    `seconds` are those of `knots` tokens.
    """

    knots: Sequence[int]
    seconds: Sequence[float]
    fixed_s: float
    sequence_s: float
    context_s: float
    pair_s: float


class NewRequest(Protocol):
    """What vLLM's scheduler says of a request that it schedules for the first time."""

    req_id: str
    prompt_token_ids: Sequence[int]
    num_computed_tokens: int


class CachedRequests(Protocol):
    """What it says of those that it scheduled before."""

    req_ids: Sequence[str]
    num_computed_tokens: Sequence[int]
    resumed_req_ids: Collection[str]


class SchedulerOutput(Protocol):
    """A planned step."""

    finished_req_ids: Iterable[str]
    scheduled_new_reqs: Iterable[NewRequest]
    scheduled_cached_reqs: CachedRequests
    num_scheduled_tokens: Mapping[str, int]


class Step(TypedDict):
    """What a step computes."""

    prefill_tokens: int
    prefill_seqs: int
    decode_seqs: int
    context_tokens: int
    pairs: float


class Pace:
    """Reads planned steps and tells how long they take."""

    def __init__(self, model: PaceModel) -> None:
        self.model = model
        self.known_tokens: dict[str, list[int]] = {}

    def read(self, scheduler_output: SchedulerOutput) -> tuple[Step, dict[str, list[int]]]:
        """What a step holds, and the tokens to answer each of its sequences with."""
        for finished in scheduler_output.finished_req_ids:
            self.known_tokens.pop(finished, None)
        computed: dict[str, int] = {}
        for new in scheduler_output.scheduled_new_reqs:
            computed[new.req_id] = new.num_computed_tokens
            self.known_tokens.setdefault(new.req_id, [len(new.prompt_token_ids), 0])
        cached = scheduler_output.scheduled_cached_reqs
        computed.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        resumed = set(cached.resumed_req_ids)
        step = Step(prefill_tokens=0, prefill_seqs=0, decode_seqs=0, context_tokens=0, pairs=0.0)
        answers = {}
        for name, tokens in scheduler_output.num_scheduled_tokens.items():
            prompt, made = self.known_tokens[name]
            before = computed[name]
            if made and before == prompt + made - 1 and name not in resumed:
                step["decode_seqs"] += 1
                step["context_tokens"] += before
            else:
                step["prefill_seqs"] += 1
                step["prefill_tokens"] += tokens
                step["pairs"] += tokens * (before + tokens / 2)
            is_answered = before + tokens == prompt + made
            answers[name] = [ANSWER] if is_answered else []
            self.known_tokens[name][1] += is_answered
        return step, answers

    def step_s(self, step: Step) -> float:
        """Seconds of a step."""
        model = self.model
        tokens = step["prefill_tokens"] + step["decode_seqs"]
        total = model["fixed_s"] + self._token_s(tokens)
        total += model["sequence_s"] * (step["decode_seqs"] + step["prefill_seqs"])
        return total + model["context_s"] * step["context_tokens"] + model["pair_s"] * step["pairs"]

    def _token_s(self, tokens: int) -> float:
        knots, seconds = self.model["knots"], self.model["seconds"]
        if len(knots) == 1:
            return seconds[0]
        at = min(max(bisect_right(knots, tokens), 1), len(knots) - 1)
        slope = (seconds[at] - seconds[at - 1]) / (knots[at] - knots[at - 1])
        return seconds[at - 1] + slope * (tokens - knots[at - 1])
