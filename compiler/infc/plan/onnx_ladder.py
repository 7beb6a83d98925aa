"""The ladder of an ONNX model: framework, compiled, half precision, quantised, batching, instances, replicas."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from infc.ir.candidate import DynamicBatching
from infc.ir.engine_choice import chosen_kind, refused_engine, runs_tensorrt
from infc.ir.engine_kind import EngineChoice
from infc.ir.hardware import Hardware
from infc.ir.interval import Basis, Interval
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, Problem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.ir.service_time import ServiceTimeCurve
from infc.perf import Unsupported, kernel_work, unsupported_reason
from infc.perf.framework import engine_ratio, framework_ratio, product, rising
from infc.plan.built import built_engines
from infc.plan.capacity import needed_replicas, option_of
from infc.plan.cost import usd_per_hour
from infc.plan.energy import mean_rate_per_replica
from infc.plan.evidence import QUANTISED, kept_operators, refusing_evidence
from infc.plan.ladder import Rung
from infc.plan.load import LoadResult, loader_for
from infc.plan.site import Setup, Site, planned_axes
from infc.plan.sizing import UTILIZATION_LIMIT, Settings, Sizer
from infc.plan.space import LOWERABLE
from infc.plan.words import counted, duration_text, month_text

_MANY = 64
"""Times the replicas that the load asks for: more would not shorten the latency."""
_UNQUANTISED = (Precision.TF32, Precision.FP32)
_OTHER_RUNTIMES: tuple[tuple[EngineChoice, str, str], ...] = (
    ("onnxruntime", "ONNX Runtime", "by the ratio measured on BERTs under Triton; convolutions were not compared"),
    ("torch", "torch.compile", "by ratios measured on vision models and BERTs; small batches as without compilation"),
)


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What runs at a rung."""

    name: str
    site: Site
    settings: Settings
    words: str


def onnx_ladder(problem: Problem, plan: Plan) -> tuple[Rung, ...]:
    """The rungs of a plan for an ONNX model; none where a deep learning accelerator runs it: they are of the GPU."""
    option = option_of(problem, plan.candidate.hardware_id)
    if option is None or plan.candidate.dla_core is not None:
        return ()
    climber = _Climber(problem, plan, option)
    steps = list(climber.steps())
    rungs = [climber.rung(step) for step in steps[:-1]]
    rungs.append(climber.rung(steps[-1], needed_replicas(problem, plan)))
    if problem.limits.redundancy:
        rungs.append(climber.redundant(rungs[-1]))
    rungs += climber.left_out(rungs)
    rungs += climber.other_runtimes()
    return tuple(rungs)


def other_runtimes(problem: Problem, plan: Plan) -> tuple[Rung, ...]:
    """What the plan's device and settings would need without TensorRT; empty where no GPU runs TensorRT."""
    option = option_of(problem, plan.candidate.hardware_id)
    return (
        ()
        if option is None or plan.candidate.dla_core is not None
        else tuple(_Climber(problem, plan, option).other_runtimes())
    )


class _Climber:
    """Sizes single settings on short simulations of the same traffic."""

    def __init__(self, problem: Problem, plan: Plan, option: HardwareOption) -> None:
        self._problem, self._plan, self._option = problem, plan, option
        self._loader = loader_for(problem).shorter
        self._sizer = Sizer(problem, self._loader)
        self._axes = planned_axes(problem)
        self._work = kernel_work(problem.model, self._axes)

    def steps(self) -> Iterator[_Step]:
        """From the uncompiled model to the plan's settings, one thing at a time."""
        chosen, alone = self._plan.candidate, Settings(batching=DynamicBatching(max_batch_size=1), instances=1)
        precisions = self._precisions(chosen.precision)
        first = self._site(precisions[0])
        if self._option.hardware.kind in ("gpu", "jetson") and runs_tensorrt(self._problem.engine):
            words = f"{precisions[0].value} in the framework"
            yield _Step(name="uncompiled", site=_times_ratio(first, 1, framework_ratio), settings=alone, words=words)
        yield _Step(name="compiled", site=first, settings=alone, words=precisions[0].value)
        for precision in precisions[1:]:
            yield _Step(name="precision", site=self._site(precision), settings=alone, words=precision.value)
        site, batching = self._site(chosen.precision), self._plan.candidate.batching
        assert isinstance(batching, DynamicBatching)  # noqa: S101 - an ONNX model is batched dynamically
        plain = DynamicBatching(max_batch_size=batching.max_batch_size)
        if batching.max_batch_size > 1:
            settings = Settings(batching=plain, instances=1)
            yield _Step(name="batching", site=site, settings=settings, words=f"up to {batching.max_batch_size}")
        settings = Settings(batching=plain, instances=chosen.instances_per_gpu)
        if chosen.instances_per_gpu > 1:
            words = counted(chosen.instances_per_gpu, "instance")
            yield _Step(name="instances", site=site, settings=settings, words=words)
        if batching.max_queue_delay_s > 0:
            settings = replace(settings, batching=batching)
            words = duration_text(batching.max_queue_delay_s)
            yield _Step(name="queue delay", site=site, settings=settings, words=words)

    def rung(self, step: _Step, replicas: int | None = None, *, is_taken: bool = True, note: str = "") -> Rung:
        """A step with the fewest replicas that hold the SLO, or with so many."""
        site, settings = step.site, step.settings
        least = self._carrying(site, settings)
        found = self._fewest(site, settings, least) if replicas is None else replicas
        count = found or least * _MANY
        value, low, high = (self._run(site, settings, count, end) for end in ("value", "low", "high"))
        latency = {
            t.label: _spread(*(run.percentile_s(t.percentile) for run in (value, low, high)))
            for t in self._problem.latency
        }
        ratio = value.slo_ratio(self._problem.latency)
        highest = max(t.percentile for t in self._problem.latency)
        alone = self._sizer.load(site, settings, 1)
        monthly = None if found is None else self._usd_per_month(site, value, found)
        return Rung(
            step=step.name,
            settings=step.words,
            replicas=found,
            latency_s=latency,
            alone_s=None if alone is None else alone.percentile_s(highest),
            meets_slo=found is not None and (ratio <= 1.0 or replicas is not None),
            usd_per_month=monthly,
            usd_per_million_requests=self._per_million(monthly),
            basis=_curve(site, 1).basis,
            is_taken=is_taken,
            note=note,
        )

    def redundant(self, before: Rung) -> Rung:
        """The plan itself, with its redundant replicas."""
        estimate = self._plan.estimate
        monthly = None if estimate.cost is None else estimate.cost.usd_per_month
        return replace(
            before,
            step="redundancy",
            settings=f"{self._problem.limits.redundancy} may be lost",
            replicas=self._plan.candidate.replicas,
            latency_s={t.label: estimate.e2e_s[t.label] for t in self._problem.latency},
            usd_per_month=monthly,
            usd_per_million_requests=self._per_million(monthly),
        )

    def left_out(self, rungs: list[Rung]) -> Iterator[Rung]:
        """The quantised precision that the plan does not use, with the plan's settings: what it would have bought."""
        chosen, hardware = self._plan.candidate, self._option.hardware
        lower = Precision.INT8
        if chosen.precision in QUANTISED or self._reason(hardware, lower) is not None:
            return
        site, batching = self._site(lower), chosen.batching
        assert isinstance(batching, DynamicBatching)  # noqa: S101 - an ONNX model is batched dynamically
        settings = Settings(batching=batching, instances=chosen.instances_per_gpu)
        step = _Step(name="precision", site=site, settings=settings, words=lower.value)
        rung = self.rung(step, is_taken=False)
        yield replace(rung, note=self._note(lower, rung, next(r for r in reversed(rungs) if r.step != "redundancy")))

    def other_runtimes(self) -> Iterator[Rung]:
        """The plan's settings on the runtimes that it does not use: what TensorRT buys."""
        chosen, hardware = self._plan.candidate, self._option.hardware
        if hardware.kind not in ("gpu", "jetson") or not runs_tensorrt(self._problem.engine):
            return
        batching = chosen.batching
        assert isinstance(batching, DynamicBatching)  # noqa: S101 - an ONNX model is batched dynamically
        settings = Settings(batching=batching, instances=chosen.instances_per_gpu)
        for choice, title, note in _OTHER_RUNTIMES:
            kind = chosen_kind(choice, hardware, chosen.precision)
            if kind is None or refused_engine(hardware, choice, chosen.precision) is not None:
                continue
            ratio = partial(engine_ratio, kind, is_cpu=False)
            site = _times_ratio(self._site(chosen.precision), chosen.instances_per_gpu, ratio)
            step = _Step(name="runtime", site=site, settings=settings, words=f"{chosen.precision.value} in {title}")
            rung = self.rung(step, is_taken=False)
            yield replace(rung, note=f"{self._needed_instead(rung)}; {note}")

    def _needed_instead(self, rung: Rung) -> str:
        """What a runtime would need in place of the plan's replicas for the load, in words."""
        own = needed_replicas(self._problem, self._plan)
        if rung.replicas is None:
            return "no number of replicas would hold the SLO"
        highest = max(self._problem.latency, key=lambda target: target.percentile).label
        p = rung.latency_s[highest]
        latency = f"{highest} {duration_text(p.value)} ({duration_text(p.low)} to {duration_text(p.high)})"
        if rung.replicas == own:
            return f"as many replicas carry the load ({own}), at a {latency}"
        words = f"the load needs {counted(rung.replicas, 'replica')} in place of {own}, at a {latency}"
        if rung.usd_per_month is None or rung.replicas < own:
            return words
        return f"{words}, about {month_text(rung.usd_per_month * (1.0 - own / rung.replicas))} more"

    def _note(self, lower: Precision, rung: Rung, taken: Rung) -> str:
        if lower not in self._problem.limits.precisions:
            return "constraints.precision leaves it out"
        if not self._problem.has_calibration_data:
            return "the spec names no data to calibrate it with"
        if refusing_evidence(self._problem, self._option.hardware, lower) is not None:
            return "its accuracy was measured and does not hold"
        label = self._site(lower).label
        for rejection in self._plan.rejections:
            if rejection.constraint in ("gain", "build") and rejection.candidate == label:
                return f"it was compiled and gains nothing: {rejection.predicted}"
        if rung.usd_per_month is None or taken.usd_per_month is None or rung.usd_per_month >= taken.usd_per_month:
            return "it would need as many replicas, so that accuracy would be given up for nothing"
        saved = month_text(taken.usd_per_month - rung.usd_per_month)
        return f"it would save {saved} on this device, but is not better under the objective"

    def _precisions(self, chosen: Precision) -> list[Precision]:
        """Full precision where the device has it compiled, then half, then the chosen one."""
        if chosen in _UNQUANTISED:
            return [chosen]
        hardware = self._option.hardware
        full = [p for p in _UNQUANTISED if self._reason(hardware, p) is None][:1]
        half = [Precision.FP16] if self._reason(hardware, Precision.FP16) is None else []
        return list(dict.fromkeys([*full, *(half if chosen is not Precision.BF16 else []), chosen]))

    def _reason(self, hardware: Hardware, precision: Precision) -> str | None:
        if precision not in LOWERABLE and precision is not Precision.TF32:
            return "infc does not make it"
        return unsupported_reason(hardware, precision, self._work.classes)

    def _site(self, precision: Precision) -> Site:
        kept = kept_operators(self._problem, self._option.hardware, precision)
        return Site(
            problem=self._problem,
            hardware=self._option.hardware,
            price=self._option.price,
            power_mode=self._plan.candidate.power_mode,
            precision=precision,
            work=kernel_work(self._problem.model, self._axes, kept) if kept else self._work,
            axes=self._axes,
            engines=built_engines(self._problem, self._option.hardware, precision, self._axes),
        )

    def _carrying(self, site: Site, settings: Settings) -> int:
        """Replicas that carry the peak within the utilisation limit."""
        setup = Setup(max_batch_size=settings.batching.max_batch_size, instances=settings.instances)
        capacity = self._sizer.capacity_rps(site, setup)
        return max(1, math.ceil(self._problem.traffic.peak_rps / (UTILIZATION_LIMIT * capacity) - 1e-9))

    def _fewest(self, site: Site, settings: Settings, least: int) -> int | None:
        """The fewest replicas that hold every percentile, None when no number does."""

        def holds(count: int) -> bool:
            load = self._sizer.load(site, settings, count)
            return load is not None and load.slo_ratio(self._problem.latency) <= 1.0

        if holds(least):
            return least
        low, high = least, least * _MANY
        if not holds(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    def _run(self, site: Site, settings: Settings, replicas: int, end: str) -> LoadResult:
        curve = _curve(site, settings.instances)
        seconds = [getattr(s, end) for s in curve.seconds[: settings.batching.max_batch_size]]
        rate = self._problem.traffic.peak_rps / replicas
        result = self._loader.run(rate, seconds, settings.batching, settings.instances)
        return result if end == "value" else replace(result, handling_s=getattr(self._loader.handling, end))

    def _usd_per_month(self, site: Site, value: LoadResult, replicas: int) -> float | None:
        """Cost of so many replicas, none of them redundant."""
        alone = replace(self._problem, limits=replace(self._problem.limits, redundancy=0))
        share = mean_rate_per_replica(alone, self._option, replicas) * replicas / self._problem.traffic.peak_rps
        power = site.power_w(value.utilization * share)
        hourly = usd_per_hour(alone, self._option, replicas, power_w=None if power is None else power.value)
        return None if hourly is None else hourly * HOURS_PER_MONTH

    def _per_million(self, usd_per_month: float | None) -> float | None:
        if usd_per_month is None:
            return None
        return usd_per_month / HOURS_PER_MONTH / 3600.0 / self._problem.traffic.mean_rps * 1e6


def _times_ratio(site: Site, instances: int, ratio: Callable[[int], Interval]) -> Site:
    """The site with another runtime's times: the engine's times the measured ratio, both intervals combined."""
    curves = {}
    for count in {1, instances}:
        curve = _curve(site, count)
        seconds = tuple(product(s, ratio(index + 1)) for index, s in enumerate(curve.seconds))
        curves[count] = ServiceTimeCurve(seconds=rising(seconds), basis=Basis.ANALYTIC)
    return site.with_curves(curves)


def _spread(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=min(value, low), high=max(value, high))


def _curve(site: Site, instances: int) -> ServiceTimeCurve:
    curve = site.curve(instances)
    if isinstance(curve, Unsupported):
        raise AssertionError(curve.reason)
    return curve
