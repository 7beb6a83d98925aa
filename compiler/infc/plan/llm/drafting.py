"""Speculative decoding: how many tokens are worth drafting at a place, and whether it pays."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from infc.ir.candidate import Speculation
from infc.ir.problem import LlmProblem
from infc.perf import Unsupported
from infc.perf.llm.drafter import drafter_refusal
from infc.plan.llm.load import Miss
from infc.plan.llm.site import LlmSite, usual_tokens
from infc.plan.llm.sizing import LlmSized, LlmSizer
from infc.plan.words import counted, duration_text
from infc.sim.continuous_batching import expected_tokens
from infc.sim.continuous_batching.drafting import draft_seconds
from infc.sim.continuous_batching.step import step_s

_BATCHES = (1, 16, 128)
"""Sequences in a step at which the best number of drafted tokens is looked for."""


def with_drafting(problem: LlmProblem, site: LlmSite) -> Iterator[LlmSite]:
    """The site with as many tokens drafted as pay, by arithmetic, alone or in a large batch; nothing where none do."""
    drafter = problem.drafter
    is_possible = drafter is not None and site.pipeline_parallel == 1 and not isinstance(site.steps(), Unsupported)
    if drafter is None or not is_possible or drafter_refusal(problem.model, drafter.method) is not None:
        return
    every = [site, *(_drafted(problem, site, tokens) for tokens in range(1, drafter.most_tokens + 1))]
    found: set[int] = set()
    for batch in _BATCHES:
        seconds = [token_s(each, batch) for each in every]
        found.add(int(np.argmin(seconds)))
    yield from (every[tokens] for tokens in sorted(found - {0}))


def token_s(site: LlmSite, sequences: int) -> float:
    """Seconds for a token of each of so many sequences of usual length: a step by what it yields."""
    return drafted_step_s(site, sequences) / yielded(site)


def drafted_step_s(site: LlmSite, sequences: int) -> float:
    """Seconds of a step in which so many sequences of usual length decode, drafting included."""
    width = 1 if site.speculation is None else site.speculation.tokens + 1
    steps = site.known_steps()
    context = float(sequences * usual_tokens(site.problem))
    seconds = step_s(steps, decode_seqs=sequences, context_tokens=context)
    wider = step_s(replace(steps, sequence_s=0.0), decode_seqs=sequences * width)
    seconds += wider - step_s(replace(steps, sequence_s=0.0), decode_seqs=sequences)
    drafting = site.drafting
    return seconds + (0.0 if drafting is None else float(draft_seconds(drafting, np.array([sequences]))[0]))


def yielded(site: LlmSite) -> float:
    """Tokens that a step yields of each sequence on average."""
    drafted = site.speculation
    return 1.0 if drafted is None else expected_tokens(drafted.tokens, drafted.acceptance)


def speculation_reason(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    """Whether drafting pays, by how much, or why it does not; empty where the spec offers no drafter."""
    drafter, site = problem.drafter, sized.site
    if drafter is None:
        return ""
    refused = drafter_refusal(problem.model, drafter.method)
    if refused is not None:
        return f"no speculative decoding: {refused}"
    if site.pipeline_parallel > 1:
        return "no speculative decoding: it is not planned for pipelines"
    if site.speculation is None:
        return _why_not(problem, sized, sizer)
    plain = replace(site, speculation=None, _steps=[], _memories={})
    words = (
        f"{site.speculation.tokens} tokens are drafted a step ({drafter.method}): {yielded(site):.3g} come of a step at"
        f" the stated acceptance of {drafter.acceptance:.0%}"
    )
    return f"{words}; {_gain(problem, sized, plain, sizer)}{_synchronous(site)}"


def _gain(problem: LlmProblem, sized: LlmSized, plain: LlmSite, sizer: LlmSizer) -> str:
    refused = sizer.ruled_out(plain)
    if refused is not None:
        return f"without it this place misses {refused.constraint} ({refused.predicted})"
    other = sizer.size(plain, None)
    if isinstance(other, LlmSized) and other.needed > sized.needed:
        return f"without it {other.needed} replicas would be needed, not {sized.needed}"
    trial = sizer.quick_trial(plain, sized.needed)
    if trial is None:
        return "without it a request does not fit the KV cache"
    return f"without it {_value(trial.load.worst(problem))}, with it {_value(sized.trial.load.worst(problem))}"


def _why_not(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    """The best number of drafted tokens at the chosen place, and what it would do there."""
    site, running = sized.site, max(1, round(sized.trial.load.running))
    assert problem.drafter is not None  # noqa: S101 - the caller has checked
    others = [_drafted(problem, site, tokens) for tokens in range(1, problem.drafter.most_tokens + 1)]
    best = min(others, key=lambda each: token_s(each, running))
    assert best.speculation is not None  # noqa: S101 - made with one
    longer = drafted_step_s(best, running) / drafted_step_s(site, running)
    words = (
        f"with {counted(best.speculation.tokens, 'token')} drafted a step takes {longer:.2f} times as long at"
        f" {counted(running, 'sequence')} and yields {yielded(best):.3g}"
    )
    if yielded(best) <= longer:
        return f"speculative decoding does not pay: {words}{_synchronous(best)}"
    trial = sizer.quick_trial(best, sized.needed) if best.holds_longest else None
    if trial is None:
        return f"speculative decoding does not pay: {words}, but its drafter leaves too little for the KV cache"
    before, after = sized.trial.load.worst(problem), trial.load.worst(problem)
    figures = f"{_value(after)} rather than {_value(before)}"
    if sized.needed == 1 or problem.objective != "cost":
        return f"speculative decoding is left out: {words}; {figures}, and nothing would be saved under the objective"
    return f"speculative decoding is left out: {words}; {figures}, but {sized.needed} replicas are needed all the same"


def _value(miss: Miss) -> str:
    return f"{miss.label} is {duration_text(miss.value_s)}"


def _synchronous(site: LlmSite) -> str:
    if site.speculation is None or site.speculation.method != "ngram" or site.is_cpu:
        return ""
    return "; vLLM schedules synchronously with n-grams, which costs each step about 1.6 ms"


def _drafted(problem: LlmProblem, site: LlmSite, tokens: int) -> LlmSite:
    drafter = problem.drafter
    assert drafter is not None  # noqa: S101 - the callers have checked
    drafted = Speculation(method=drafter.method, tokens=tokens, acceptance=drafter.acceptance, model=drafter.model)
    return replace(site, speculation=drafted, _steps=[], _memories={})
