"""The full estimate of a sized candidate: percentiles with intervals, throughput, memory, power, cost."""

from dataclasses import replace

from infc.ir.candidate import Candidate
from infc.ir.estimate import Estimate
from infc.ir.interval import Interval
from infc.ir.problem import HardwareOption, Problem
from infc.ir.service_time import ServiceTimeCurve
from infc.perf import Unsupported
from infc.plan.cost import cost_estimate
from infc.plan.energy import energy_estimate, mean_utilization, needed_range
from infc.plan.load import Loader, LoadResult
from infc.plan.site import Setup
from infc.plan.sizing import UTILIZATION_LIMIT, Settings, Sized

CONFIDENCE = 0.9
STANDARD_PERCENTILES = (50.0, 90.0, 95.0, 99.0)


def candidate_of(sized: Sized) -> Candidate:
    """The candidate with all its replicas."""
    site = sized.site
    return Candidate(
        hardware_id=site.hardware.id,
        server=site.server,
        precision=site.precision,
        batching=sized.settings.batching,
        instances_per_gpu=sized.settings.instances,
        replicas=sized.total,
        power_mode=site.power_mode,
        dla_core=site.dla_core,
    )


def assess(
    problem: Problem, option: HardwareOption, sized: Sized, loader: Loader, *, is_quick: bool = False
) -> Estimate:
    """Predict all replicas of `sized` at the peak rate.

    The interval of a percentile comes from simulating the low and the high end of the service times on shorter runs of
    the same traffic; `is_quick` does so for the value too, for candidates that only stand beside the chosen one.
    """
    site, settings = sized.site, sized.settings
    curve = site.curve(settings.instances)
    if isinstance(curve, Unsupported):
        raise AssertionError(curve.reason)
    curve = ServiceTimeCurve(seconds=curve.seconds[: settings.batching.max_batch_size], basis=curve.basis)
    rate = problem.traffic.peak_rps / sized.total
    value = (loader.shorter if is_quick else loader).run(rate, curve.values, settings.batching, settings.instances)
    low = loader.shorter.run(rate, [s.low for s in curve.seconds], settings.batching, settings.instances)
    high = loader.shorter.run(rate, [s.high for s in curve.seconds], settings.batching, settings.instances)
    power = site.power_w(value.utilization)
    mean_busy = mean_utilization(problem, option, sized, loader)
    mean_power = site.power_w(mean_busy)
    throughput = _throughput(curve, settings, sized.total)
    return Estimate(
        e2e_s=_percentiles(
            problem,
            value,
            replace(low, handling_s=loader.handling.low),
            replace(high, handling_s=loader.handling.high),
        ),
        throughput_rps=throughput,
        goodput_rps=problem.traffic.peak_rps * value.share_within(max(t.limit_s for t in problem.latency)),
        utilization=value.utilization,
        mean_batch_size=value.mean_batch_size,
        memory=site.memory(Setup(max_batch_size=settings.batching.max_batch_size, instances=settings.instances)),
        power_w=None if power is None else power.scaled(sized.total),
        cost=cost_estimate(
            problem,
            option,
            sized.needed,
            power_w=mean_power,
            needed_range=needed_range(problem, sized.needed, throughput.scaled(1 / sized.total), UTILIZATION_LIMIT),
        ),
        energy=None if mean_power is None else energy_estimate(problem, option, sized.needed, mean_power),
        mean_utilization=mean_busy,
        service_time=curve,
        basis=curve.basis,
        confidence=CONFIDENCE,
    )


def _percentiles(problem: Problem, value: LoadResult, low: LoadResult, high: LoadResult) -> dict[str, Interval]:
    wanted = sorted({*STANDARD_PERCENTILES, *(target.percentile for target in problem.latency)})
    found = {"mean": _interval(value.mean_s(), low.mean_s(), high.mean_s())}
    for percentile in wanted:
        found[f"p{percentile:g}"] = _interval(*(run.percentile_s(percentile) for run in (value, low, high)))
    return found


def _interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=min(value, low), high=max(value, high))


def _throughput(curve: ServiceTimeCurve, settings: Settings, replicas: int) -> Interval:
    scale = replicas * settings.instances

    def most(seconds: list[float]) -> float:
        return max(scale * (index + 1) / value for index, value in enumerate(seconds))

    return Interval(
        value=most([s.value for s in curve.seconds]),
        low=most([s.high for s in curve.seconds]),
        high=most([s.low for s in curve.seconds]),
    )
