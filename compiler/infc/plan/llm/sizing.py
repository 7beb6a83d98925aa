"""How many replicas a site needs, and with which settings: the fewest at which every percentile holds at the peak."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from infc.ir.candidate import ContinuousBatching, Speculation
from infc.ir.plan import Rejection
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.perf import Unsupported
from infc.plan.ceiling import Ceiling
from infc.plan.llm.load import Metric, Setup, TokenLoad, TokenLoader, TokenLoaders, targets_of
from infc.plan.llm.site import SEQUENCE_LIMITS, TOKEN_BUDGETS, LlmSite, sequence_limit
from infc.plan.llm.steady import (
    Decoding,
    Floats,
    MeanWork,
    SteadyStates,
    alone_s,
    decoding_of,
    mean_work,
    steady_states,
)
from infc.plan.words import counted, duration_text, rate_text, size_text
from infc.sim.continuous_batching import TokenRequests
from infc.sim.percentile import percentile

UTILIZATION_LIMIT = 0.85
"""Largest offered load as a share of what a replica can sustain: beyond it a burst tips the queue over."""
SAFETY = 0.97
"""A percentile may use up this share of its limit in the worst draw: draws that were not made differ a little."""
CLEAR_MISS = 1.12
"""A short run that misses its limit by this factor settles that a full one would miss it."""
SHORT_RUN_EXCESS = 1.05
"""How much more of a limit long draws use up than the short one, before one was made: they hold more bursts."""
_HOPELESS_TPOT, _HOPELESS_TTFT = 1.05, 3.0
"""Misses that no other settings make good, by what is missed."""
_BUSIEST = 0.93
"""Share of what a replica carries at which a queue before it still ends."""
_GROWTH = 1.3
_CLEAR_GAIN = 0.98
"""Another token budget has to bring the worst percentile down to this share."""
_TAIL = 90.0
_BELOW_TAIL = 1.25
_SPARE_SEQUENCES = 1.5
_FEWEST_ON_CPU = 16
"""Least limit on sequences on a CPU, if the cache holds them: step times are known least there."""
_MOST_REPLICAS = 4096


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings of one replica, and what the worst draw of the traffic shows of them."""

    setup: Setup
    load: TokenLoad
    ratio: float

    @property
    def batching(self) -> ContinuousBatching:
        """The settings of the scheduler."""
        return self.setup.batching

    @property
    def kv_cache_tokens(self) -> int:
        """What the replica can cache."""
        return self.setup.kv_cache_tokens


@dataclass(frozen=True, kw_only=True)
class LlmSized:
    """The fewest `needed` replicas that carry the peak, and what they saw; `total` adds the redundant ones.

    `fewer` is what one replica fewer would do, None where that is beyond what the replicas can sustain or was not
    asked. `is_full` says that it was judged on full simulations.
    """

    site: LlmSite
    trial: Trial
    needed: int
    total: int
    fewer: Trial | None
    is_full: bool


class LlmSizer:
    """Sizes sites of one problem; all simulations run on the same draws of the traffic."""

    def __init__(self, problem: LlmProblem, loaders: TokenLoaders) -> None:
        self.loaders = loaders
        self._problem = problem
        self._peak_rps = problem.traffic.peak_rps
        self._redundancy = problem.limits.redundancy
        self._work: dict[tuple[int | None, Speculation | None], MeanWork] = {}
        self._decoding: dict[Speculation | None, Decoding] = {}
        self._alone: dict[str, tuple[Floats, Floats]] = {}
        self._states: dict[str, SteadyStates] = {}
        self._trials: dict[tuple[str, int], Trial | None] = {}
        self._compared: dict[tuple[str, int], list[Trial]] = {}
        self._confirmed: dict[str, LlmSized] = {}
        self._known: dict[str, int] = {}
        self._excess = SHORT_RUN_EXCESS
        self._hardest: dict[int, float] = {}

    # Arithmetic: what no simulation is needed for.

    def ruled_out(self, site: LlmSite) -> Rejection | None:
        """The constraint that rules the site out before any simulation, None when none does."""
        memory = self._memory_rejection(site)
        if memory is not None:
            return memory
        steps = site.steps()
        if isinstance(steps, Unsupported):
            return Rejection(candidate=site.label, constraint="precision-support", predicted=steps.reason, limit="")
        ttft_s, tpot_s = self.alone_s(site)
        e2e_s = ttft_s + tpot_s * np.maximum(self._lengths.output_tokens - 1, 0)
        alone: dict[Metric, Floats] = {"ttft": ttft_s, "tpot": tpot_s, "e2e": e2e_s}
        for metric, values in alone.items():
            for target in targets_of(self._problem)[metric]:
                least_s = percentile(values, target.percentile)
                if least_s > target.limit_s:
                    return Rejection(
                        candidate=site.label,
                        constraint=metric,
                        predicted=f"{target.label} {duration_text(least_s)} without any other request",
                        limit=f"{target.label} {duration_text(target.limit_s)}",
                    )
        if self.most_rps(site) <= 0.0:
            return Rejection(
                candidate=site.label, constraint="tpot", predicted="a mean step is longer at any load", limit=""
            )
        return None

    def alone_s(self, site: LlmSite) -> tuple[Floats, Floats]:
        """TTFT and TPOT of each request of the short draw without any other, in seconds."""
        known = self._alone.get(site.label)
        if known is None:
            decoding, steps = self._decoding_at(site), site.known_steps()
            known = alone_s(self._lengths, steps, max(TOKEN_BUDGETS), decoding, site.drafting)
            self._alone[site.label] = known
        return known

    def _decoding_at(self, site: LlmSite) -> Decoding:
        if site.speculation not in self._decoding:
            drafting = self.loaders.quick.seeded(site.drafting)
            self._decoding[site.speculation] = decoding_of(self._lengths, drafting)
        return self._decoding[site.speculation]

    def fewest(self, site: LlmSite) -> int:
        """A lower bound of the replicas that carry the peak, redundancy not included."""
        return max(1, math.ceil(self._peak_rps / self.most_rps(site) - 1e-9))

    def beyond(self, site: LlmSite, ceiling: Ceiling) -> Rejection | None:
        """Why not even the fewest replicas are allowed; None when they are."""
        low = self.fewest(site)
        if low <= ceiling.replicas:
            return None
        return Rejection(
            candidate=site.label,
            constraint=ceiling.constraint,
            predicted=f"at least {counted(low + self._redundancy, 'replica')} for {rate_text(self._peak_rps)}",
            limit=ceiling.limit,
        )

    def most_rps(self, site: LlmSite) -> float:
        """The highest rate of a replica that is within the utilisation limit and whose mean step keeps the SLO."""
        return min(UTILIZATION_LIMIT * self.capacity_rps(site), self.mean_rate_rps(site))

    def capacity_rps(self, site: LlmSite) -> float:
        """Requests per second that one replica sustains when its batches fill as its memory lets them."""
        each = self.states(site).largest_rate_rps(sequences=self.most_sequences(site), tokens=max(TOKEN_BUDGETS))
        return site.pipeline_parallel * each

    def mean_rate_rps(self, site: LlmSite) -> float:
        """The rate at which the mean step reaches a target: what a capacity by averages would promise."""
        return site.pipeline_parallel * self.states(site).largest_rate_rps(
            step_limit_s=self._step_limit_s(site), sequences=self.most_sequences(site), tokens=max(TOKEN_BUDGETS)
        )

    def most_sequences(self, site: LlmSite) -> float:
        """Sequences of mean length that the KV cache holds at once, in one of the batches of a pipeline."""
        held = self.work(site).held_tokens
        return max(site.most_cached_tokens / site.pipeline_parallel / held, 1.0)

    def states(self, site: LlmSite) -> SteadyStates:
        """The site's replica at rising loads, on average; of a pipeline, one of the batches that follow each other."""
        known = self._states.get(site.label)
        if known is None:
            steady = steady_states(self.work(site), site.known_steps(), site.drafting)
            known = self._states[site.label] = steady
        return known

    def work(self, site: LlmSite) -> MeanWork:
        """What a request asks for on average."""
        key = (site.known_steps().window_tokens, site.speculation)
        if key not in self._work:
            self._work[key] = mean_work(self._lengths, key[0], self._decoding_at(site))
        return self._work[key]

    @property
    def _lengths(self) -> TokenRequests:
        return self.loaders.quick.requests

    def _step_limit_s(self, site: LlmSite) -> float:
        """The longest mean step with which every target may still hold.

        A high percentile of TPOT is no less than its mean. A low one may be a little less.
        """
        limits = [np.inf]
        for target in self._problem.tpot:
            limits.append(target.limit_s * _slack(target) / self.work(site).steps_per_token)
        decoded = self.work(site).decode_steps
        if decoded > 0.0:
            first_s = float(self.alone_s(site)[0].mean())
            limits += [(t.limit_s * _slack(t) - first_s) / decoded for t in self._problem.e2e]
        return float(min(limits))

    def _memory_rejection(self, site: LlmSite) -> Rejection | None:
        memory = site.memory(SEQUENCE_LIMITS[0], min(TOKEN_BUDGETS))
        longest = self._problem.tokens.longest
        if site.holds_longest:
            return None
        weights = size_text(memory.breakdown.weights_bytes)
        room = (
            f"room for {memory.kv_cache_tokens} cached tokens" if memory.kv_cache_tokens > 0 else "no room for a cache"
        )
        return Rejection(
            candidate=site.label,
            constraint="memory",
            predicted=f"{weights} of weights a device, {room}",
            limit=f"{longest} tokens of the longest request",
        )

    # Simulation.

    def size(self, site: LlmSite, ceiling: Ceiling | None) -> LlmSized | Rejection:
        """The fewest replicas and the settings on the short draw, or what no count of them up to the ceiling meets.

        What `confirm` found of a site takes the place of it.
        """
        low = self.fewest(site)
        most = _MOST_REPLICAS if ceiling is None else ceiling.replicas
        confirmed = self._confirmed.get(site.label)
        if confirmed is not None and confirmed.needed <= most:
            return confirmed
        if ceiling is not None and (too_many := self.beyond(site, ceiling)) is not None:
            return too_many
        needed = self._fewest_holding(site, max(low, self._known.get(site.label, 0)), most)
        if needed is None or confirmed is not None:
            return self._misses(site, most, ceiling)
        self._known[site.label] = needed
        trial = self.quick_trial(site, needed)
        assert trial is not None  # noqa: S101 - it was found to hold
        return self._sized(site, needed, trial, is_full=False)

    def confirm(self, sized: LlmSized) -> LlmSized:
        """The fewest replicas near those of a short run that hold on every full draw; remembered.

        One fewer is tried too, unless the short run misses clearly with it. What the full draws use up of a limit
        beyond what the short one does is remembered where that decides, for the sites that are sized after this.
        """
        site, low = sized.site, self.fewest(sized.site)
        needed, trial = sized.needed, self._full_trial(site, sized.needed)
        if trial is not None and trial.ratio > SAFETY and (quick := self.quick_trial(site, needed)) is not None:
            self._excess = max(self._excess, trial.ratio / quick.ratio)
        while trial is None or trial.ratio > SAFETY:
            needed += 1
            trial = self._full_trial(site, needed)
        while low < needed <= sized.needed:
            quick = self.quick_trial(site, needed - 1)
            if quick is None or quick.ratio * self._excess > CLEAR_MISS:
                break
            fewer = self._full_trial(site, needed - 1, hardest_first=True)
            if fewer is None or fewer.ratio > SAFETY:
                break
            needed, trial = needed - 1, fewer
        confirmed = self._confirmed[site.label] = self._sized(site, needed, trial, is_full=True)
        return confirmed

    def with_settings(self, site: LlmSite, max_num_seqs: int, budget: int) -> LlmSized | None:
        """The fewest replicas with which these very settings hold, up to twice those of the least load.

        Where none do it is that many, with what is then missed; None where a request does not fit the KV cache.
        """
        low = self.fewest(site)
        for needed in range(low, 2 * low + 1):
            trial = self.run(site, needed, max_num_seqs, budget, (self.loaders.quick,))
            if trial is None:
                return None
            if trial.ratio <= SAFETY or needed == 2 * low:
                trial = self.run(site, needed, max_num_seqs, budget, self.loaders.full) or trial
                if trial.ratio <= SAFETY or needed == 2 * low:
                    return self._sized(site, needed, trial, is_full=True)
        return None

    def quick_trial(self, site: LlmSite, needed: int) -> Trial | None:
        """Settings that hold for so many replicas on the short draw, or those that come closest.

        None where a request does not fit the KV cache.
        """
        key = (site.label, needed)
        if key not in self._trials:
            self._trials[key] = self._search_settings(site, needed, SAFETY / SHORT_RUN_EXCESS)
        return self._trials[key]

    def run(
        self, site: LlmSite, needed: int, max_num_seqs: int, budget: int, loaders: tuple[TokenLoader, ...]
    ) -> Trial | None:
        """These settings on each draw until one fails; the worst of them. None where a request does not fit."""
        setup = site.setup(max_num_seqs, budget)
        if setup.kv_cache_tokens < site.longest_tokens:
            return None
        worst: Trial | None = None
        for loader in loaders:
            load = loader.run(self._peak_rps / needed, setup)
            ratio = load.worst(self._problem).ratio
            self._hardest[loader.seed] = max(self._hardest.get(loader.seed, 0.0), min(ratio, SAFETY))
            if worst is None or ratio > worst.ratio:
                worst = Trial(setup=setup, load=load, ratio=ratio)
            if ratio > SAFETY:
                break
        if worst is not None and loaders == (self.loaders.quick,):
            self._compared.setdefault((site.label, needed), []).append(worst)
        return worst

    def compared(self, site: LlmSite, needed: int) -> tuple[Trial, ...]:
        """The settings that were compared on the short draw for so many replicas, in the order of the runs."""
        return tuple(self._compared.get((site.label, needed), ()))

    def _search_settings(self, site: LlmSite, needed: int, enough: float) -> Trial | None:
        """Token budgets in the direction of what is missed, then fewer sequences at once where decoding is too slow.

        The first that uses up no more than `enough` of its limit is taken.
        """
        free, quick = self._free_sequences(site), (self.loaders.quick,)
        ladder = sorted(TOKEN_BUDGETS)
        at = ladder.index(TOKEN_BUDGETS[0])
        width = self.work(site).width
        best = self.run(site, needed, min(free, ladder[at] // width), ladder[at], quick)
        if best is None or best.ratio <= enough:
            return best
        is_slow = best.load.worst(self._problem).metric == "tpot"
        if best.ratio > (_HOPELESS_TPOT if is_slow else _HOPELESS_TTFT):
            return best
        step = -1 if is_slow else 1
        while 0 <= at + step < len(ladder):
            at += step
            other = self.run(site, needed, min(free, ladder[at] // width), ladder[at], quick)
            if other is None or other.ratio >= best.ratio * _CLEAR_GAIN:
                break
            best = other
            if best.ratio <= enough:
                return best
        if best.load.worst(self._problem).metric == "tpot":
            for limit in self._slower_admission(site, needed, min(free, best.load.most_running)):
                other = self.run(site, needed, limit, best.batching.max_num_batched_tokens, quick)
                if other is not None and other.ratio < best.ratio:
                    best = other
        return best

    def _free_sequences(self, site: LlmSite) -> int:
        """A limit on sequences that the KV cache can hold: more would only be preempted."""
        most = site.pipeline_parallel * self.most_sequences(site)
        return max((limit for limit in SEQUENCE_LIMITS if limit <= most), default=SEQUENCE_LIMITS[0])

    def _slower_admission(self, site: LlmSite, needed: int, free: int) -> Iterator[int]:
        """Limits on sequences whose full steps keep the TPOT and still carry the load: requests wait for a place."""
        states = self.states(site)
        holds = states.step_s <= self._step_limit_s(site)
        carries = states.rate_rps >= self._batch_rps(site, needed) / _BUSIEST
        most = float(states.sequences[holds].max(initial=0.0)) * site.pipeline_parallel
        least = float(states.sequences[holds & carries].min(initial=np.inf)) * site.pipeline_parallel
        yield from [limit for limit in reversed(SEQUENCE_LIMITS) if least <= limit <= most and limit < free][:2]

    def _fewest_holding(self, site: LlmSite, low: int, most: int) -> int | None:
        """The fewest replicas that hold on the short draw; None when not even `most` do.

        Each miss tells where to look next: a percentile of TPOT grows about as the mean step does. Then bisection.
        """

        def holds(needed: int) -> bool:
            trial = self.quick_trial(site, needed)
            return trial is not None and trial.ratio * self._excess <= SAFETY

        if low > most:
            return None
        if holds(low):
            return low
        failed, high = low, min(most, self._promising(site, low))
        while not holds(high):
            if high >= most:
                return None
            failed, high = high, min(most, self._promising(site, high))
        while high - failed > 1:
            middle = high - 1 if high - failed <= 3 else (failed + high) // 2
            if holds(middle):
                high = middle
            else:
                failed = middle
        return high

    def _batch_rps(self, site: LlmSite, needed: int) -> float:
        """Requests per second that one of the batches of a replica takes at the peak."""
        return self._peak_rps / needed / site.pipeline_parallel

    def _promising(self, site: LlmSite, failed: int) -> int:
        """More replicas than those that `failed`: as many as bring the mean step down by the factor of the miss."""
        trial = self.quick_trial(site, failed)
        grown = max(failed + 1, round(failed * _GROWTH))
        if trial is None or trial.load.worst(self._problem).metric == "ttft":
            return grown
        states = self.states(site)
        step_s = float(np.interp(self._batch_rps(site, failed), states.rate_rps, states.step_s))
        rate = states.largest_rate_rps(step_limit_s=step_s * SAFETY / (trial.ratio * self._excess))
        if rate <= 0.0:
            return grown
        return max(failed + 1, math.ceil(self._peak_rps / (site.pipeline_parallel * rate)))

    def _full_trial(self, site: LlmSite, needed: int, *, hardest_first: bool = False) -> Trial | None:
        """The settings of the short draw on the full ones; the limit on sequences cut to what is used.

        Where a miss is likely, `hardest_first` starts with the draw that used up most of a limit before.
        """
        quick = self.quick_trial(site, needed)
        if quick is None:
            return None
        limit = quick.batching.max_num_seqs
        if quick.load.most_running < limit:
            limit = min(limit, self._spare_limit(site, quick.load.most_running))
        loaders = self.loaders.full
        if hardest_first:
            loaders = tuple(sorted(loaders, key=lambda loader: -self._hardest.get(loader.seed, 0.0)))
        return self.run(site, needed, limit, quick.batching.max_num_batched_tokens, loaders)

    def _spare_limit(self, site: LlmSite, most_running: int) -> int:
        """A limit on sequences that leaves room for bursts that no draw holds; on a CPU no fewer than are usual."""
        limit = sequence_limit(_SPARE_SEQUENCES * most_running)
        return max(limit, _FEWEST_ON_CPU) if site.is_cpu else limit

    def _sized(self, site: LlmSite, needed: int, trial: Trial, *, is_full: bool) -> LlmSized:
        fewer = self._trials.get((site.label, needed - 1)) if needed > 1 else None
        return LlmSized(
            site=site,
            trial=trial,
            needed=needed,
            total=needed + self._redundancy,
            fewer=fewer,
            is_full=is_full,
        )

    def _misses(self, site: LlmSite, replicas: int, ceiling: Ceiling | None) -> Rejection:
        """Why even `replicas` do not hold the SLO, at the best settings."""
        trial = self.quick_trial(site, replicas)
        if trial is None:
            predicted, metric, limit = "a request that does not fit the KV cache", "memory", ""
        else:
            miss = trial.load.worst(self._problem)
            metric = miss.metric
            predicted = f"{miss.label} {duration_text(miss.value_s)} with {counted(replicas, 'replica')}"
            limit = f"{miss.label} {duration_text(miss.target.limit_s)}"
        if ceiling is None:
            return Rejection(candidate=site.label, constraint=metric, predicted=predicted, limit=limit)
        return Rejection(
            candidate=site.label, constraint=ceiling.constraint, predicted=predicted, limit=f"{limit}, {ceiling.limit}"
        )


def _slack(target: LatencyTarget) -> float:
    return 1.0 if target.percentile >= _TAIL else _BELOW_TAIL
