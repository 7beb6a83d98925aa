"""What one replica does at a given rate, simulated: does it keep its latency goals, and what piles up."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from infc.diag import InternalError
from infc.ir.candidate import ContinuousBatching, DynamicBatching
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, LatencyTarget, LlmProblem, Problem

Floats = npt.NDArray[np.float64]
_BLOCKS = 20
_DEVIATIONS = 3.0
"""Of a mean over a window, how far it strays from the long mean but once in several hundred windows."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """One replica under a steady rate.

    `worst` is the percentile that comes nearest to its limit, as a share of the limit: the goals hold up to 1.
    `backlog` is the mean number of requests that wait (of a language model: that it holds, running ones included, since
    none waits before it runs as many as it may). `backlog_noise` is what a mean over the autoscaler's window reaches by
    chance.
    """

    rate_rps: float
    worst: float
    backlog: float
    backlog_noise: float


class Replica(Protocol):
    """One replica of a plan."""

    @property
    def capacity_rps(self) -> float:
        """Requests per second that it takes in and sustains at full batches."""

    def at(self, rate_rps: float) -> Load:
        """What it does at a rate; same rate, same answer."""


def replica_of(problem: AnyProblem, plan: Plan, window_s: float) -> Replica:
    """A replica of the plan; `window_s` is what the autoscaler averages over."""
    if isinstance(problem, LlmProblem):
        return TokenReplica(problem, plan, window_s)
    return BatchReplica(problem, plan, window_s)


class BatchReplica:
    """A Triton server with the plan's service times."""

    def __init__(self, problem: Problem, plan: Plan, window_s: float) -> None:
        from infc.plan.load import SEED, loader_for, requests_for
        from infc.sim.arrivals import arrival_times_s

        curve, batching = plan.estimate.service_time, plan.candidate.batching
        if curve is None or not isinstance(batching, DynamicBatching):
            raise InternalError(f"{plan.candidate.label} has no service times to simulate")
        self._problem, self._window_s = problem, window_s
        self._curve, self._batching, self._instances = curve.values, batching, plan.candidate.instances_per_gpu
        self._unit_s = arrival_times_s(problem.traffic.arrival, 1.0, requests_for(problem.latency), SEED)
        loader = loader_for(problem)
        self._handling_s = loader.handling.value
        self.capacity_rps = min(plan.estimate.throughput_rps.value / plan.candidate.replicas, loader.front_end_rps)
        self.at = cache(self._at)

    def _at(self, rate_rps: float) -> Load:
        from infc.plan.load import WARM_UP
        from infc.sim.dynamic_batching import simulate

        arrivals_s = self._unit_s / rate_rps
        has_dynamic_shapes = bool(self._problem.model.axes)
        result = simulate(
            arrivals_s, self._curve, self._batching, self._instances, has_dynamic_shapes=has_dynamic_shapes
        )
        latency_s = result.latency_s[WARM_UP:] + self._handling_s
        queue_s = result.queue_s[WARM_UP:]
        worst = max(_used(latency_s, target) for target in self._problem.latency)
        return _load(rate_rps, worst, arrivals_s[WARM_UP:], queue_s, self._window_s)


class TokenReplica:
    """A vLLM server with the plan's step times."""

    def __init__(self, problem: LlmProblem, plan: Plan, window_s: float) -> None:
        from infc.plan.llm.load import SEEDS, TokenLoader, requests_for
        from infc.plan.llm.site import site_of

        candidate, batching = plan.candidate, plan.candidate.batching
        site = site_of(problem, candidate)
        if site is None or not isinstance(batching, ContinuousBatching):
            raise InternalError(f"{candidate.label} has no step times to simulate")
        self._problem, self._window_s = problem, window_s
        self._setup = site.setup(batching.max_num_seqs, batching.max_num_batched_tokens)
        self._loader = TokenLoader(problem, min(requests_for(problem), _TOKEN_REQUESTS), SEEDS[0])
        self.capacity_rps = plan.estimate.throughput_rps.value / candidate.replicas
        self.at = cache(self._at)

    def _at(self, rate_rps: float) -> Load:
        run = self._loader.run(rate_rps, self._setup)
        arrivals_s = self._loader.requests.arrivals_s / rate_rps
        return _load(rate_rps, run.worst(self._problem).ratio, arrivals_s, run.result.e2e_s, self._window_s)


_TOKEN_REQUESTS = 2_000
"""Requests of a simulation of a language model: enough for a p95, and for a p99 to within a tenth."""


def _used(latency_s: Floats, target: LatencyTarget) -> float:
    from infc.sim.percentile import percentile

    value_s: float = percentile(latency_s, target.percentile)
    return value_s / target.limit_s


def _load(rate_rps: float, worst: float, arrivals_s: Floats, held_s: Floats, window_s: float) -> Load:
    backlog = rate_rps * float(held_s.mean())  # Little's law
    return Load(
        rate_rps=rate_rps,
        worst=worst,
        backlog=backlog,
        backlog_noise=backlog + _DEVIATIONS * _deviation(arrivals_s, held_s, window_s),
    )


def _deviation(arrivals_s: Floats, held_s: Floats, window_s: float) -> float:
    """The standard deviation of the mean backlog over a window.

    Where the simulation is too short for enough windows, it is that of shorter blocks, which shrinks with the root of
    their length: blocks are far longer than a queue remembers.
    """
    span_s = float(arrivals_s[-1] - arrivals_s[0])
    blocks = max(_BLOCKS, int(span_s / window_s))
    edges = np.linspace(float(arrivals_s[0]), float(arrivals_s[-1]), blocks + 1)
    summed_s, _ = np.histogram(arrivals_s, bins=edges, weights=held_s)
    block_s = span_s / blocks
    return float((summed_s / block_s).std(ddof=1)) * math.sqrt(min(1.0, block_s / window_s))
