"""When a server should refuse instead of queue: a bound on the prompt tokens that wait."""

import math
from dataclasses import dataclass

from infc.ir.candidate import Candidate, ContinuousBatching
from infc.ir.hardware import Hardware
from infc.ir.problem import LlmProblem
from infc.perf import Unsupported
from infc.perf.llm import step_time
from infc.sim.continuous_batching.step import step_s

OVERLOAD_FACTOR = 4
"""How many times the TTFT limit a request may wait before it is refused.

At 1 the requests that an SLO allows to be late (1% at a p99) would become errors, and count against availability; a
queue that is four limits long is no burst but traffic beyond the plan, and everybody behind it is late.
"""
_ROUND_TO_TOKENS = 1000


@dataclass(frozen=True, kw_only=True)
class QueueLimit:
    """`tokens` of prompts that may wait, and how it came about."""

    tokens: int
    wait_s: float
    label: str
    factor: int
    tokens_per_s: float


def queued_tokens(
    problem: LlmProblem, candidate: Candidate, batching: ContinuousBatching, hardware: Hardware
) -> QueueLimit | None:
    """The bound on waiting prompt tokens of one replica; None where the SLO has no TTFT or the speed is not known.

    It is the wait times the speed of prefilling, as vLLM says to size it, with the longest prompt on top: vLLM counts a
    prompt whole until its last token is in the cache, and does not know what prefix caching will save.

    Source: vLLM 0.32, `config/scheduler.py` (max_num_queued_tokens) and `v1/engine/async_llm.py` (check_admission).
    """
    if not problem.ttft:
        return None
    target = problem.ttft[-1]
    speed = prefill_tokens_per_s(problem, candidate, batching, hardware)
    if speed is None:
        return None
    wait_s = OVERLOAD_FACTOR * target.limit_s
    tokens = wait_s * speed + problem.tokens.prompt.maximum
    return QueueLimit(
        tokens=math.ceil(tokens / _ROUND_TO_TOKENS) * _ROUND_TO_TOKENS,
        wait_s=wait_s,
        label=target.label,
        factor=OVERLOAD_FACTOR,
        tokens_per_s=speed,
    )


def prefill_tokens_per_s(
    problem: LlmProblem, candidate: Candidate, batching: ContinuousBatching, hardware: Hardware
) -> float | None:
    """Prompt tokens that a replica prefills in a second when it does nothing else, as predicted.

    Shared prefixes count as prefilled where they are cached.
    """
    steps = step_time(
        problem.model,
        hardware,
        candidate.precision,
        tensor_parallel=candidate.tensor_parallel,
        kv_precision=batching.kv_precision,
        measurements=problem.step_times,
        power_mode=candidate.power_mode,
        pipeline_parallel=candidate.pipeline_parallel,
    )
    if isinstance(steps, Unsupported):
        return None
    tokens = batching.max_num_batched_tokens
    usual = problem.tokens.prompt.percentiles.get(50.0, problem.tokens.prompt.maximum)
    seconds = step_s(steps, prefill_tokens=tokens, prefill_seqs=max(1, tokens // max(1, usual)))
    cached = problem.tokens.shared_prefix if batching.has_prefix_caching else 0.0
    return tokens / seconds / (1.0 - min(cached, 0.99))
