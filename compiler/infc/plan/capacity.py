"""What a plan's replicas can bear: a rolling update, the loss of some, and what the spare ones cost."""

import math
from dataclasses import dataclass, replace

from infc.ir.plan import Plan
from infc.ir.problem import BaseProblem, HardwareOption
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.cost import KEPT, usd_per_hour

REPLICA_AVAILABILITY = 0.995
"""Share of the time in which one replica is assumed to be up.

An assumption: what a cloud promises for a single instance. Source: the instance-level commitment of Amazon EC2's SLA
(99.5%); Azure promises 99.9% for a single machine on premium disks.
"""
_MOST_REDUNDANT = 20


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How an update replaces the replicas.

    `max_surge` replicas run besides, `max_unavailable` may be missing. `keeps_slo` says whether the SLO holds
    meanwhile, `spare_lost` how many more replicas may then be lost. `usd_per_hour` is what the surge costs while it
    lasts, None where no price is known; 0 where its devices are kept and paid for anyway.
    """

    max_surge: int
    max_unavailable: int
    keeps_slo: bool
    spare_lost: int
    usd_per_hour: float | None


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether the promised availability holds, if replicas fail independently and are up `assumed` of the time.

    `reached` is the share of the time in which enough replicas are up. `redundancy_needed` is the fewest redundant
    replicas that reach the target.
    """

    target: float
    assumed: float
    reached: float
    redundancy_needed: int


def option_of(problem: BaseProblem, hardware_id: str) -> HardwareOption | None:
    """The device of that id with its prices, None when the problem does not allow it."""
    return next((option for option in problem.options if option.hardware.id == hardware_id), None)


def needed_replicas(problem: BaseProblem, plan: Plan) -> int:
    """Replicas that carry the peak: those of the plan without the redundant ones."""
    return max(1, plan.candidate.replicas - problem.limits.redundancy)


def rollout(problem: BaseProblem, plan: Plan) -> Rollout:
    """How an update goes: as the spec says, else with a spare device where there is one, else within the redundancy."""
    limits, option = problem.limits, option_of(problem, plan.candidate.hardware_id)
    price = option.price if option is not None else None
    is_kept = price is not None and price.commitment in KEPT
    if limits.unavailable is not None:
        surge, unavailable = limits.surge, limits.unavailable
    elif _has_spare_device(problem, plan, option):
        surge, unavailable = 1, 0
    else:
        surge, unavailable = 0, 1
    cost = None if price is None else surge * plan.candidate.devices * price.usd_per_hour
    return Rollout(
        max_surge=surge,
        max_unavailable=unavailable,
        keeps_slo=unavailable <= limits.redundancy,
        spare_lost=max(0, limits.redundancy - unavailable),
        usd_per_hour=0.0 if is_kept and cost is not None else cost,
    )


def _has_spare_device(problem: BaseProblem, plan: Plan, option: HardwareOption | None) -> bool:
    """Whether one more replica can be had for minutes: rented by the hour, and within the limits."""
    limits, each = problem.limits, plan.candidate.devices
    if option is None or option.hardware.kind in ("jetson", "cpu"):
        return False
    if option.price is not None and option.price.commitment in KEPT:
        return False
    if limits.max_accelerators is not None and plan.accelerators + each > limits.max_accelerators:
        return False
    cap_w = option.hardware.tdp_w
    return limits.max_power_w is None or (
        cap_w is not None and (plan.accelerators + each) * cap_w <= limits.max_power_w * (1 + 1e-9)
    )


def availability(problem: BaseProblem, plan: Plan, assumed: float = REPLICA_AVAILABILITY) -> Availability | None:
    """How the promised availability compares with what the replicas reach; None where nothing is promised."""
    if problem.availability is None:
        return None
    needed = needed_replicas(problem, plan)
    target, redundancy = problem.availability, 0
    while share_up(needed, redundancy, assumed) < target and redundancy < _MOST_REDUNDANT:
        redundancy += 1
    return Availability(
        target=target,
        assumed=assumed,
        reached=share_up(needed, problem.limits.redundancy, assumed),
        redundancy_needed=redundancy,
    )


def share_up(needed: int, redundant: int, each: float) -> float:
    """Share of the time in which at least `needed` of `needed + redundant` independent replicas are up.

    Source: the binomial distribution.

    >>> round(share_up(1, 0, 0.995), 6), round(share_up(1, 1, 0.995), 6), round(share_up(2, 1, 0.99), 6)
    (0.995, 0.999975, 0.999702)
    """
    total = needed + redundant
    return sum(math.comb(total, down) * (1 - each) ** down * each ** (total - down) for down in range(redundant + 1))


def redundancy_usd_per_month(problem: BaseProblem, plan: Plan, redundancy: int) -> float | None:
    """What so many redundant replicas cost a month, over none; None where no price is known."""
    option = option_of(problem, plan.candidate.hardware_id)
    if option is None or option.price is None:
        return None
    needed, devices = needed_replicas(problem, plan), plan.candidate.devices
    energy = plan.estimate.energy
    power = None if energy is None else energy.power_w.value / plan.accelerators

    def cost(count: int) -> float | None:
        changed = replace(problem, limits=replace(problem.limits, redundancy=count))
        return usd_per_hour(changed, option, needed, devices=devices, power_w=power)

    with_it, without = cost(redundancy), cost(0)
    return None if with_it is None or without is None else (with_it - without) * HOURS_PER_MONTH
