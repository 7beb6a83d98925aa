"""What the devices of a deployment use, and how many of them the load alone would ask for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from infc.ir.estimate import EnergyEstimate
from infc.ir.interval import Interval
from infc.ir.problem import BaseProblem, HardwareOption
from infc.ir.quantity import HOURS_PER_MONTH
from infc.perf import Unsupported
from infc.plan.cost import mean_replicas

if TYPE_CHECKING:  # language models have no sites of this kind
    from infc.plan.load import Loader
    from infc.plan.sizing import Sized


def energy_estimate(
    problem: BaseProblem,
    option: HardwareOption,
    needed: int,
    device_power_w: Interval,
    *,
    devices: int = 1,
    tokens_per_request: float | None = None,
) -> EnergyEstimate:
    """Energy at the mean rate over the day, from the power of one device at that rate.

    `needed` replicas of `devices` each carry the peak; redundant ones run and draw power too.
    """
    power = device_power_w.scaled(mean_replicas(problem, option, needed) * devices)
    per_request = power.scaled(1.0 / problem.traffic.mean_rps)
    return EnergyEstimate(
        power_w=power,
        joules_per_request=per_request,
        kwh_per_month=power.scaled(HOURS_PER_MONTH / 1000.0),
        joules_per_token=None if tokens_per_request is None else per_request.scaled(1.0 / tokens_per_request),
    )


def mean_rate_per_replica(problem: BaseProblem, option: HardwareOption, needed: int) -> float:
    """Requests per second that one running replica sees in the mean over the day."""
    return problem.traffic.mean_rps / mean_replicas(problem, option, needed)


def needed_range(
    problem: BaseProblem, needed: int, capacity_rps: Interval, utilization_limit: float
) -> tuple[int, int]:
    """Fewest and most replicas that carry the peak at the ends of what one replica is predicted to sustain.

    Where the latency and not the load sets the count, its low end is the count itself: a faster replica would carry
    more, but nothing says that fewer would be as quick.
    """

    def carrying(rps: float) -> int:
        return max(1, math.ceil(problem.traffic.peak_rps / (utilization_limit * rps) - 1e-9))

    low = carrying(capacity_rps.high) if carrying(capacity_rps.value) >= needed else needed
    return min(low, needed), max(needed, carrying(capacity_rps.low))


def mean_utilization(problem: BaseProblem, option: HardwareOption, sized: Sized, loader: Loader) -> float:
    """Busy share of an instance at the mean rate over the day, simulated: batches are smaller then than at the peak."""
    batching, instances = sized.settings.batching, sized.settings.instances
    curve = sized.site.curve(instances)
    if isinstance(curve, Unsupported):
        raise AssertionError(curve.reason)
    rate = mean_rate_per_replica(problem, option, sized.needed)
    return loader.shorter.run(rate, curve.values, batching, instances).utilization
