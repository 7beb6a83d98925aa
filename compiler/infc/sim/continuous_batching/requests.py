"""What goes into a simulation of continuous batching, and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.sim.percentile import percentiles, rank_of

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Gaps: TypeAlias = tuple[float, float, int, int]
"""(first_s, growth_s, steps, sequences): `steps` gaps between tokens in each of `sequences` sequences.

The first is of `first_s`, each next one `growth_s` longer.
"""
_PARTS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenRequests:
    """Requests in order of arrival: float64[n] seconds from 0 on, and int64[n] tokens.

    `prefix_tokens` is how many tokens at the start of the prompt are those that all requests start with.
    """

    arrivals_s: Floats
    prompt_tokens: Integers
    output_tokens: Integers
    prefix_tokens: Integers

    def __len__(self) -> int:
        return len(self.arrivals_s)


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenGaps:
    """The gaps between consecutive tokens of one request, over all requests: `counts[i]` gaps of `seconds[i]`."""

    seconds: Floats
    counts: Integers

    @property
    def mean_s(self) -> float:
        """The mean gap; 0 where no request has two tokens."""
        total = int(self.counts.sum())
        return float(self.seconds @ self.counts) / total if total else 0.0

    def percentiles_s(self, asked: Sequence[float]) -> tuple[float, ...]:
        """Nearest-rank percentiles (0-100); 0 where no request has two tokens.

        >>> TokenGaps(seconds=np.array([2.0, 1.0]), counts=np.array([1, 9])).percentiles_s((50, 90, 91))
        (1.0, 1.0, 2.0)
        """
        if not len(self.counts):
            return (0.0,) * len(asked)
        order = np.argsort(self.seconds, kind="stable")
        cumulative = np.cumsum(self.counts[order])
        ranks = [rank_of(each, int(cumulative[-1])) for each in asked]
        return tuple(float(self.seconds[order[at]]) for at in np.searchsorted(cumulative, ranks))


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenResult:
    """What happened to each request, in order of arrival, and to the server. Seconds, float64[requests].

    `ttft_s` is from the request to its first token, `e2e_s` to its last. `tpot_s` is the time from the first token to
    the last by the tokens after the first, not a number where there is only one. `queue_s` is the time until a step
    first worked on the request. `running_sequences` is the mean number of sequences in steps and `kv_cache_utilization`
    the mean share of KV blocks in use, both over the time in which steps ran; `kv_cache_peak` is the largest share.
    `preemptions` counts them all, `cached_tokens` the prompt tokens that were not computed since the cache held them.
    `utilization` is the share of the time between 0 and `end_s`, the last token, in which steps ran.
    """

    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats
    queue_s: Floats
    stretches: Sequence[Gaps]
    output_tokens: Integers
    running_sequences: float
    kv_cache_utilization: float
    kv_cache_peak: float
    preemptions: int
    cached_tokens: int
    utilization: float
    end_s: float

    @cached_property
    def gaps(self) -> TokenGaps:
        """The gaps between tokens; only worked out when asked for, since that takes longer than all else here."""
        return _token_gaps(self.stretches)

    @property
    def throughput_rps(self) -> float:
        """Answered requests per second between 0 and the last token."""
        return len(self.e2e_s) / self.end_s

    @property
    def output_tokens_per_s(self) -> float:
        """Generated tokens per second between 0 and the last one."""
        return float(self.output_tokens.sum()) / self.end_s

    @property
    def known_tpot_s(self) -> Floats:
        """The TPOT of the requests that have one: those of two tokens and more."""
        return self.tpot_s[self.output_tokens > 1]

    def ttft_percentiles_s(self, asked: Sequence[float]) -> tuple[float, ...]:
        """Nearest-rank percentiles (0-100) of the time to the first token."""
        return percentiles(self.ttft_s, asked)

    def tpot_percentiles_s(self, asked: Sequence[float]) -> tuple[float, ...]:
        """Nearest-rank percentiles (0-100) of the time per output token; 0 where every request has one token."""
        known = self.known_tpot_s
        return percentiles(known, asked) if len(known) else (0.0,) * len(asked)

    def good_share(
        self,
        *,
        ttft_s: float | None = None,
        tpot_s: float | None = None,
        e2e_s: float | None = None,
    ) -> float:
        """The share of requests that meet every given limit; a request of one token meets any TPOT."""
        good = np.ones(len(self.e2e_s), dtype=np.bool_)
        limits: Mapping[str, tuple[Floats, float | None]] = {
            "ttft": (self.ttft_s, ttft_s),
            "tpot": (np.nan_to_num(self.tpot_s, nan=0.0), tpot_s),
            "e2e": (self.e2e_s, e2e_s),
        }
        for values, limit in limits.values():
            if limit is not None:
                good &= values <= limit
        return float(good.mean())

    def goodput_rps(
        self, *, ttft_s: float | None = None, tpot_s: float | None = None, e2e_s: float | None = None
    ) -> float:
        """Answered requests per second that meet every given limit."""
        return self.good_share(ttft_s=ttft_s, tpot_s=tpot_s, e2e_s=e2e_s) * self.throughput_rps


def _token_gaps(gaps: Sequence[Gaps]) -> TokenGaps:
    """The gaps, those of a stretch in up to 16 parts of equal gaps: within one they grow by little."""
    if not gaps:
        return TokenGaps(seconds=np.zeros(0), counts=np.zeros(0, dtype=np.int64))
    first_s, growth_s, steps, sequences = (np.asarray(column) for column in zip(*gaps, strict=True))
    steps = steps.astype(np.int64)
    parts = np.minimum(steps, _PARTS)
    part = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
    all_steps, all_parts = np.repeat(steps, parts), np.repeat(parts, parts)
    begin, end = part * all_steps // all_parts, (part + 1) * all_steps // all_parts
    seconds = np.repeat(first_s, parts) + np.repeat(growth_s, parts) * (begin + end - 1) / 2
    return TokenGaps(seconds=seconds, counts=(end - begin) * np.repeat(sequences.astype(np.int64), parts))
