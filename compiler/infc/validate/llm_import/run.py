"""What another load generator's result file says, in infc's terms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infc.ir.llm_measurement import LoadTool, TokenMetric

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestRecords:
    """Every request of a run, in the order of their sending: float64[n] seconds, int64[n] tokens.

    `sent_s` counts from the first. `lag_s` is how late each was sent, NaN where the tool does not say when it was due.
    `ttft_s` and `e2e_s` count from the sending, NaN where a request failed or the file has none. `gaps_s` are the gaps
    between tokens of the whole run, in its order; empty where the file has none.
    """

    sent_s: Floats
    lag_s: Floats
    ttft_s: Floats
    e2e_s: Floats
    tpot_s: Floats
    prompt_tokens: Integers
    output_tokens: Integers
    has_failed: Flags
    gaps_s: Floats

    @property
    def has_lag(self) -> bool:
        """Whether the tool says when requests were due."""
        return bool(len(self.lag_s)) and not np.any(np.isnan(self.lag_s))

    def since_due(self, metric: TokenMetric) -> Floats:
        """A metric of every request, from when it was due where that is known; infinite where it failed.

        Of TPOT only requests that have a second token.
        """
        lag_s = self.lag_s if self.has_lag else np.zeros(len(self.lag_s))
        match metric:
            case "ttft":
                return np.where(self.has_failed, np.inf, self.ttft_s + lag_s)
            case "e2e":
                return np.where(self.has_failed, np.inf, self.e2e_s + lag_s)
            case "tpot":
                kept = self.has_failed | (self.output_tokens > 1)
                return np.where(self.has_failed, np.inf, self.tpot_s)[kept]
            case _:
                return self.gaps_s


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """Figures of one metric as a file gives them: percentile (0 to 100, 100 the maximum) -> seconds, and the mean."""

    mean_s: float | None
    percentiles_s: Mapping[float, float]


@dataclass(frozen=True, kw_only=True)
class ImportedRun:
    """A run of another load generator. What a file does not say is None.

    `records` are its requests, None where the file has figures only; then `summaries` has those of each metric, and
    `e2e_s` the end-to-end times where the file lists those alone. `is_open_loop` says that requests did not wait for
    answers.
    """

    tool: LoadTool
    version: str
    model: str
    asked_rps: float | None
    is_open_loop: bool
    requests: int
    errors: int
    duration_s: float
    mean_prompt_tokens: float
    mean_output_tokens: float
    output_tokens_per_s: float
    goodput_rps: float | None = None
    records: RequestRecords | None = None
    summaries: Mapping[TokenMetric, MetricSummary] = field(default_factory=dict)
    e2e_s: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def offered_rps(self) -> float:
        """Requests per second as they were really sent: between the first and the last, where that is known."""
        if self.records is not None and len(self.records.sent_s) > 1:
            span_s = float(self.records.sent_s[-1] - self.records.sent_s[0])
            if span_s > 0:
                return (len(self.records.sent_s) - 1) / span_s
        if self.asked_rps is not None and math.isfinite(self.asked_rps):
            return self.asked_rps
        return self.requests / self.duration_s if self.duration_s > 0 else 0.0
