"""What a load test of a language-model server may spend and how sure it must be."""

from dataclasses import dataclass

MAX_REQUESTS = 200_000
"""Requests of one test at most: the gaps between all their tokens are held in memory."""


@dataclass(frozen=True, kw_only=True)
class LlmLoadSettings:
    """Settings of one load test.

    `budget_s` holds warm-up and measurement; a settled or saturated test ends earlier, but measures at least
    `min_measured_s`. Requests that are on their way when measuring ends are waited for, under the same load. `rate_rps`
    overrides the offered rate (default: one replica's share of the peak). A request that is not complete within
    `timeout_s` counts as an error (None: what the targets and lengths make plausible). With more than
    `max_outstanding` unanswered requests the server counts as saturated. `confidence` is that of every verdict,
    `interval_confidence` that of the two-sided intervals. `realtime_priority` is the generator's SCHED_FIFO priority,
    None for normal. `run` tells the prompts of this run from those of others.
    """

    budget_s: float = 300.0
    rate_rps: float | None = None
    seed: int = 0
    run: int = 0
    confidence: float = 0.99
    interval_confidence: float = 0.95
    min_warmup_s: float = 2.0
    min_measured_s: float = 10.0
    timeout_s: float | None = None
    max_outstanding: int = 2_000
    is_detokenized: bool = True
    realtime_priority: int | None = None
