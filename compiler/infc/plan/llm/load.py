"""Latencies of a replica under load: vLLM's scheduler simulated under the spec's arrivals and token lengths."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from infc.ir.candidate import ContinuousBatching
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.ir.step_time import StepTimeModel
from infc.plan.llm.steady import Floats
from infc.sim.continuous_batching import BLOCK_TOKENS, Drafting, TokenResult, simulate
from infc.sim.continuous_batching.pace import paced
from infc.sim.percentile import rank_of
from infc.sim.token_traffic import draw_token_requests

FEWEST_REQUESTS, MOST_REQUESTS = 3_000, 100_000
"""Judged requests of one of the simulations that judge a plan: a hundred beyond the highest percentile, in between."""
QUICK_REQUESTS = 1_000
"""Judged requests of a simulation that only compares."""
SHORT_REQUESTS = 400
"""Judged requests of a simulation that tells the ends of an interval relative to its middle."""
SEEDS = (2025, 4151)
"""A plan has to hold under each of these: draws of arrivals and lengths that have nothing to do with each other."""
STANDARD_PERCENTILES = (50.0, 90.0, 95.0, 99.0)
_BEYOND = 100
_LEFT_OUT = 20
_LEAST_LEFT_OUT = 80
"""One in so many requests, and no fewer than these, is left out at the start, where the server is empty, and again at
the end."""

Metric: TypeAlias = Literal["ttft", "tpot", "e2e"]
METRICS: tuple[Metric, ...] = ("ttft", "tpot", "e2e")


def has_prefix_caching(problem: LlmProblem) -> bool:
    """Whether the cache of prompts that begin alike is kept: as the spec says, else where prompts share a prefix."""
    asked = problem.has_prefix_caching
    return problem.tokens.shared_prefix > 0.0 if asked is None else asked


def targets_of(problem: LlmProblem) -> Mapping[Metric, tuple[LatencyTarget, ...]]:
    """The targets of the spec by what they are about."""
    return {"ttft": problem.ttft, "tpot": problem.tpot, "e2e": problem.e2e}


def reported_percentiles(problem: LlmProblem) -> tuple[float, ...]:
    """Every percentile that an estimate shows, ascending."""
    asked = {target.percentile for targets in targets_of(problem).values() for target in targets}
    return tuple(sorted({*STANDARD_PERCENTILES, *asked}))


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A replica as the simulator runs it: step times, scheduler settings, the cache and its blocks.

    `has_async_scheduling` is vLLM's default on GPUs. Of `stages` pipeline stages as many batches follow each other: the
    replica is simulated as so many servers, each with its share of the requests, of the places and of the cache.
    `drafting` gets the seed of the draw.
    """

    steps: StepTimeModel
    batching: ContinuousBatching
    kv_cache_tokens: int
    block_tokens: int = BLOCK_TOKENS
    has_async_scheduling: bool = True
    stages: int = 1
    drafting: Drafting | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenLoad:
    """What the requests of one replica saw, and the state of the replica.

    `seconds` are sorted, by metric; `by_request` the same in order of arrival (0 where a request has no TPOT).
    `most_running` is the largest number of requests that were
    in the server's hands at once.
    """

    seconds: Mapping[Metric, Floats]
    by_request: Mapping[Metric, Floats]
    result: TokenResult
    percentiles: tuple[float, ...]
    running: float
    most_running: int
    kv_cache_utilization: float
    preemptions: float
    utilization: float

    @cached_property
    def itl_s(self) -> Mapping[str, float]:
        """The gaps between tokens by label, those of the requests at the start and the end included."""
        gaps = self.result.gaps
        found = zip(self.percentiles, gaps.percentiles_s(self.percentiles), strict=True)
        return {"mean": gaps.mean_s, **{f"p{percentile:g}": gap for percentile, gap in found}}

    def percentile_s(self, metric: Metric, percentile: float) -> float:
        """The latency that `percentile` percent of the requests do not exceed (nearest rank)."""
        values = self.seconds[metric]
        return float(values[rank_of(percentile, len(values)) - 1]) if len(values) else 0.0

    def mean_s(self, metric: Metric) -> float:
        """The mean latency."""
        values = self.seconds[metric]
        return float(values.mean()) if len(values) else 0.0

    def good_share(self, problem: LlmProblem) -> float:
        """The share of requests that meet the loosest target of every metric."""
        good = np.ones(len(self.by_request["e2e"]), dtype=np.bool_)
        for metric, targets in targets_of(problem).items():
            if targets:
                good &= self.by_request[metric] <= max(target.limit_s for target in targets)
        return float(good.mean())

    def worst(self, problem: LlmProblem) -> "Miss":
        """The target that is used up most."""
        return max(
            (
                Miss(metric=metric, target=target, value_s=self.percentile_s(metric, target.percentile))
                for metric, targets in targets_of(problem).items()
                for target in targets
            ),
            key=lambda miss: (miss.ratio, miss.metric),
        )


@dataclass(frozen=True, kw_only=True)
class Miss:
    """A target with what a simulation shows of it; it holds up to a `ratio` of 1."""

    metric: Metric
    target: LatencyTarget
    value_s: float

    @property
    def ratio(self) -> float:
        """The value as a share of the limit."""
        return self.value_s / self.target.limit_s

    @property
    def label(self) -> str:
        """`tpot p99`."""
        return f"{self.metric} {self.target.label}"


class TokenLoader:
    """Runs simulations of one draw of the traffic and remembers them.

    Arrivals are drawn once at rate 1 and scaled to each asked rate, so that candidates are compared on the same
    traffic.
    """

    def __init__(self, problem: LlmProblem, requests: int, seed: int) -> None:
        self._left_out = max(requests // _LEFT_OUT, _LEAST_LEFT_OUT)
        count = requests + 2 * self._left_out
        self.judged = requests
        self.seed = seed
        self._percentiles = reported_percentiles(problem)
        # Without its cache a common prefix counts for nothing.
        tokens = problem.tokens if has_prefix_caching(problem) else replace(problem.tokens, shared_prefix=0.0)
        self.requests = draw_token_requests(problem.traffic.arrival, tokens, 1.0, count, seed)
        self._unit = self.requests.arrivals_s
        self._results: dict[tuple[float, Setup], TokenLoad] = {}
        self.simulations = 0

    def run(self, rate_rps: float, setup: Setup) -> TokenLoad:
        """One replica under `rate_rps`."""
        key = (rate_rps, setup)
        known = self._results.get(key)
        if known is None:
            known = self._results[key] = self._simulate(rate_rps, setup)
        return known

    def seeded(self, drafting: Drafting | None) -> Drafting | None:
        """Drafting as this draw of the traffic has it."""
        return None if drafting is None else replace(drafting, seed=self.seed)

    def _simulate(self, rate_rps: float, setup: Setup) -> TokenLoad:
        self.simulations += 1
        stages, batching = setup.stages, setup.batching
        requests = replace(self.requests, arrivals_s=self._unit / rate_rps * stages)
        pace: Floats | float = 1.0
        if setup.steps.pace_spread > 1.0:
            requests, pace = paced(requests, setup.steps.pace_spread)
        longest = int((requests.prompt_tokens + requests.output_tokens).max())
        result = simulate(
            requests,
            setup.steps,
            replace(batching, max_num_seqs=-(-batching.max_num_seqs // stages)),
            max(setup.kv_cache_tokens // stages, min(longest + setup.block_tokens, setup.kv_cache_tokens)),
            block_tokens=setup.block_tokens,
            has_async_scheduling=setup.has_async_scheduling,
            drafting=self.seeded(setup.drafting),
        )
        judged = slice(self._left_out, len(requests) - self._left_out)
        ttft, tpot, e2e = ((pace * each)[judged] for each in (result.ttft_s, result.tpot_s, result.e2e_s))
        return TokenLoad(
            seconds={"ttft": np.sort(ttft), "tpot": np.sort(tpot[~np.isnan(tpot)]), "e2e": np.sort(e2e)},
            by_request={"ttft": ttft, "tpot": np.nan_to_num(tpot), "e2e": e2e},
            result=result,
            percentiles=self._percentiles,
            running=result.running_sequences * stages,
            most_running=stages
            * _most_at_once(requests.arrivals_s + result.queue_s, requests.arrivals_s + result.e2e_s),
            kv_cache_utilization=result.kv_cache_utilization,
            preemptions=result.preemptions / len(requests),
            utilization=result.utilization,
        )


class TokenLoaders:
    """The draws of one problem: two full ones, on each of which a plan has to hold, and shorter ones to compare on."""

    def __init__(self, problem: LlmProblem, *, scale: float = 1.0) -> None:
        requests = max(round(requests_for(problem) * scale), 200)
        self.full = tuple(TokenLoader(problem, requests, seed) for seed in SEEDS)
        self.quick = TokenLoader(problem, max(round(QUICK_REQUESTS * scale), 150), SEEDS[0] + 7)
        self.short = TokenLoader(problem, max(round(SHORT_REQUESTS * scale), 100), SEEDS[0] + 11)

    @property
    def judged(self) -> int:
        """Requests that a plan is judged on, all draws together."""
        return sum(loader.judged for loader in self.full)

    @property
    def simulations(self) -> int:
        """Simulations that were run."""
        return sum(loader.simulations for loader in (*self.full, self.quick, self.short))


def requests_for(problem: LlmProblem) -> int:
    """Judged requests of one draw: 10,000 for a p99."""
    highest = max(t.percentile for targets in targets_of(problem).values() for t in targets)
    return min(MOST_REQUESTS, max(FEWEST_REQUESTS, round(_BEYOND / (1.0 - highest / 100.0))))


def _most_at_once(start_s: Floats, end_s: Floats) -> int:
    """The largest number of intervals that overlap.

    >>> _most_at_once(np.array([0.0, 1.0, 5.0]), np.array([2.0, 3.0, 6.0]))
    2
    """
    times = np.concatenate((start_s, end_s))
    changes = np.concatenate((np.ones(len(start_s)), -np.ones(len(end_s))))
    order = np.lexsort((changes, times))
    return int(np.cumsum(changes[order]).max())
