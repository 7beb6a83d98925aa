"""What a load test may spend and how sure it must be."""

from dataclasses import dataclass

MAX_REQUESTS = 2_000_000
"""Requests of one test at most: their times are held in memory (about 40 bytes each)."""


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """Settings of one load test.

    `budget_s` holds warm-up and measurement; a settled or saturated test ends earlier, but measures at least
    `min_measured_s`. `rate_rps` overrides the offered rate (default: one replica's share of the peak). A request that
    is not answered within `timeout_s` counts as an error. With more than `max_outstanding` unanswered requests the
    server counts as saturated. `confidence` is that of every verdict, `interval_confidence` that of the two-sided
    intervals. `realtime_priority` is the generator's SCHED_FIFO priority, None for normal.
    """

    budget_s: float = 120.0
    rate_rps: float | None = None
    seed: int = 0
    confidence: float = 0.99
    interval_confidence: float = 0.95
    min_warmup_s: float = 2.0
    min_measured_s: float = 5.0
    timeout_s: float = 10.0
    max_outstanding: int = 20_000
    realtime_priority: int | None = None
