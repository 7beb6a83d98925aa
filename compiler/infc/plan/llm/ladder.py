"""The ladder of a language model: one sequence at a time, continuous batching, precision, cache, tensor parallelism.

There is no rung for an uncompiled framework: no public measurement compares one with vLLM on equal terms.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from infc.ir.candidate import ContinuousBatching
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, LlmProblem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.perf import Unsupported
from infc.plan.capacity import needed_replicas, option_of
from infc.plan.cost import usd_per_hour
from infc.plan.evidence import passed_evidence, refusing_evidence
from infc.plan.ladder import Rung
from infc.plan.llm.assess import spread
from infc.plan.llm.load import TokenLoad, TokenLoaders, targets_of
from infc.plan.llm.site import SIXTEEN, LlmSite, own_precision
from infc.plan.llm.sizing import SAFETY, UTILIZATION_LIMIT, LlmSizer
from infc.plan.llm.space import TENSOR_PARALLEL
from infc.plan.words import month_text

_MANY = 64
"""Times the replicas that the load asks for: more would not shorten the latency."""
_LOWER = (Precision.FP8, Precision.INT8)
"""Precisions below the checkpoint's that a plan may leave out, the one with less risk first."""


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What runs at a rung."""

    name: str
    words: str
    site: LlmSite
    sequences: int


def llm_ladder(problem: LlmProblem, plan: Plan) -> tuple[Rung, ...]:
    """The rungs of a plan for a language model."""
    option = option_of(problem, plan.candidate.hardware_id)
    if option is None:
        return ()
    climber = _Climber(problem, plan, option)
    steps = list(climber.steps())
    rungs = [climber.rung(step) for step in steps[:-1]]
    rungs.append(climber.rung(steps[-1], needed_replicas(problem, plan)))
    if problem.limits.redundancy:
        rungs.append(climber.redundant(rungs[-1]))
    rungs += climber.left_out(rungs)
    return tuple(rungs)


class _Climber:
    """Sizes single settings on short simulations of the same traffic."""

    def __init__(self, problem: LlmProblem, plan: Plan, option: HardwareOption) -> None:
        self._problem, self._plan, self._option = problem, plan, option
        self._sizer = LlmSizer(problem, TokenLoaders(problem, scale=0.5))
        batching = plan.candidate.batching
        assert isinstance(batching, ContinuousBatching)  # noqa: S101 - a language model is batched continuously
        self._batching = batching

    def steps(self) -> Iterator[_Step]:
        """From one sequence at a time to the plan's settings, one thing at a time."""
        chosen, batching = self._plan.candidate, self._batching
        base = own_precision(self._problem, self._option.hardware)
        devices = self._fewest_devices(base)
        site = self._site(base, devices, None)
        words = f"{base.value}, {_devices(site.devices)}"
        yield _Step(name="one at a time", words=words, site=site, sequences=1)
        sequences = batching.max_num_seqs
        yield _Step(name="batching", words=f"up to {sequences} sequences", site=site, sequences=sequences)
        if chosen.precision is not base:
            site = self._site(chosen.precision, devices, None)
            yield _Step(name="precision", words=chosen.precision.value, site=site, sequences=sequences)
        if batching.kv_precision is not None:
            site = self._site(chosen.precision, devices, batching.kv_precision)
            yield _Step(name="cache", words=batching.kv_precision.value, site=site, sequences=sequences)
        if chosen.tensor_parallel != devices:
            site = self._site(chosen.precision, chosen.tensor_parallel, batching.kv_precision)
            words = _devices(chosen.devices)
            yield _Step(name="tensor parallel", words=words, site=site, sequences=sequences)
        if (drafted := batching.speculation) is not None:
            site = replace(site, speculation=drafted, _steps=[], _memories={})
            words = f"{drafted.tokens} by {drafted.method}"
            yield _Step(name="drafting", words=words, site=site, sequences=sequences)

    def rung(self, step: _Step, replicas: int | None = None, *, is_taken: bool = True) -> Rung:
        """A step with the fewest replicas that hold the SLO, or with so many."""
        least = self._carrying(step)
        found = self._fewest(step, least) if replicas is None else replicas
        load = self._load(step, found or least * _MANY)
        ends = [self._end(step, found or least * _MANY, power) for power in (0.0, -1.0, 1.0)]
        monthly = None if found is None else self._usd_per_month(step.site, found)
        return Rung(
            step=step.name,
            settings=step.words,
            replicas=found,
            latency_s={
                f"{metric} {t.label}": _interval(*(each.percentile_s(metric, t.percentile) for each in (load, *ends)))
                for metric, targets in targets_of(self._problem).items()
                for t in targets
            },
            alone_s=self._alone_s(step, least),
            meets_slo=found is not None,
            usd_per_month=monthly,
            usd_per_million_requests=self._per_million(monthly),
            basis=step.site.known_steps().basis,
            is_taken=is_taken,
        )

    def redundant(self, before: Rung) -> Rung:
        """The plan itself, with its redundant replicas."""
        estimate, tokens = self._plan.estimate, self._plan.estimate.tokens
        assert tokens is not None  # noqa: S101 - a language model's estimate has them
        by_metric = {"ttft": tokens.ttft_s, "tpot": tokens.tpot_s, "e2e": estimate.e2e_s}
        monthly = None if estimate.cost is None else estimate.cost.usd_per_month
        return replace(
            before,
            step="redundancy",
            settings=f"{self._problem.limits.redundancy} may be lost",
            replicas=self._plan.candidate.replicas,
            latency_s={
                f"{metric} {t.label}": by_metric[metric][t.label]
                for metric, targets in targets_of(self._problem).items()
                for t in targets
            },
            usd_per_month=monthly,
            usd_per_million_requests=self._per_million(monthly),
        )

    def left_out(self, rungs: list[Rung]) -> Iterator[Rung]:
        """The quantised precision that the plan does not use: what it would have bought."""
        chosen, base = self._plan.candidate, own_precision(self._problem, self._option.hardware)
        if chosen.precision is not base or base not in SIXTEEN:
            return
        for lower in _LOWER:
            site = self._site(lower, chosen.tensor_parallel, self._batching.kv_precision)
            if isinstance(site.steps(), Unsupported):
                continue
            step = _Step(name="precision", words=lower.value, site=site, sequences=self._batching.max_num_seqs)
            taken = next(r for r in reversed(rungs) if r.step != "redundancy")
            rung = self.rung(step, is_taken=False)
            yield replace(rung, note=self._note(lower, rung, taken))
            return

    def _note(self, lower: Precision, rung: Rung, taken: Rung) -> str:
        if rung.usd_per_month is None or taken.usd_per_month is None or rung.usd_per_month >= taken.usd_per_month:
            return "it would need as many replicas, so that accuracy would be given up for nothing"
        saved = f"it would save {month_text(taken.usd_per_month - rung.usd_per_month)}"
        if refusing_evidence(self._problem, self._option.hardware, lower) is not None:
            return f"{saved}, but its accuracy was measured and does not hold"
        if lower not in self._problem.limits.precisions:
            return f"{saved}, but constraints.precision leaves it out"
        if passed_evidence(self._problem, self._option.hardware, lower) is None:
            return f"{saved}, but nothing shows that it keeps the accuracy; constraints.precision would allow it"
        return f"{saved} on this device, but is not better under the objective"

    def _fewest_devices(self, precision: Precision) -> int:
        """The smallest group of devices that holds the model and the longest request; the plan's where none does."""
        longest = self._problem.tokens.longest
        for devices in TENSOR_PARALLEL:
            site = self._site(precision, devices, None)
            if isinstance(site.steps(), Unsupported):
                continue
            if site.memory(self._batching.max_num_seqs, self._budget).kv_cache_tokens >= longest:
                return devices
        return self._plan.candidate.tensor_parallel

    @property
    def _budget(self) -> int:
        return self._batching.max_num_batched_tokens

    def _site(self, precision: Precision, devices: int, kv_precision: Precision | None) -> LlmSite:
        return LlmSite(
            problem=self._problem,
            option=self._option,
            power_mode=self._plan.candidate.power_mode,
            precision=precision,
            kv_precision=kv_precision,
            tensor_parallel=devices,
            pipeline_parallel=self._plan.candidate.pipeline_parallel,
        )

    def _carrying(self, step: _Step) -> int:
        """A lower bound of the replicas that carry the peak."""
        peak = self._problem.traffic.peak_rps
        if step.sequences > 1:
            return max(1, math.ceil(peak / (UTILIZATION_LIMIT * self._sizer.capacity_rps(step.site)) - 1e-9))
        first_s, each_s = self._sizer.alone_s(step.site)
        further = self._sizer.loaders.quick.requests.output_tokens - 1
        return max(1, math.ceil(peak * float((first_s + each_s * further).mean()) / UTILIZATION_LIMIT))

    def _load(self, step: _Step, replicas: int) -> TokenLoad:
        trial = self._sizer.run(step.site, replicas, step.sequences, self._budget, (self._sizer.loaders.quick,))
        if trial is None:
            raise AssertionError(f"{step.site.label} cannot hold the longest request")
        return trial.load

    def _end(self, step: _Step, replicas: int, power: float) -> TokenLoad:
        """A short draw at an end of the step times, or in the middle."""
        return self._sizer.loaders.short.run(
            self._problem.traffic.peak_rps / replicas,
            step.site.setup(step.sequences, self._budget, spread(step.site.known_steps(), power)),
        )

    def _fewest(self, step: _Step, least: int) -> int | None:
        """The fewest replicas that hold every target, None when no number does."""

        def holds(count: int) -> bool:
            return self._load(step, count).worst(self._problem).ratio <= SAFETY

        if holds(least):
            return least
        low, high = least, least * _MANY
        if not holds(high):
            return None
        while high - low > max(1, low // 50):  # to 2%: the count is a figure to compare, not a plan
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    def _alone_s(self, step: _Step, least: int) -> float | None:
        """The first judged latency with one replica; None where that is overloaded."""
        if least > 1:
            return None
        metric, targets = next((m, t) for m, t in targets_of(self._problem).items() if t)
        return self._load(step, 1).percentile_s(metric, max(t.percentile for t in targets))

    def _usd_per_month(self, site: LlmSite, replicas: int) -> float | None:
        """Cost of so many replicas, none of them redundant; owned devices at full power."""
        alone = replace(self._problem, limits=replace(self._problem.limits, redundancy=0))
        hourly = usd_per_hour(alone, self._option, replicas, devices=site.devices)
        return None if hourly is None else hourly * HOURS_PER_MONTH

    def _per_million(self, usd_per_month: float | None) -> float | None:
        if usd_per_month is None:
            return None
        return usd_per_month / HOURS_PER_MONTH / 3600.0 / self._problem.traffic.mean_rps * 1e6


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices a replica"


def _interval(value: float, middle: float, low: float, high: float) -> Interval:
    """The ends are those of the short draw relative to its middle."""
    factor = value / middle if middle > 0 else 1.0
    return Interval(value=value, low=min(value, low * factor), high=max(value, high * factor))
