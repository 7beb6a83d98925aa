"""The most replicas that the hard constraints on money, power and count of devices allow."""

from dataclasses import dataclass
from typing import Protocol

from infc.ir.problem import BaseProblem, HardwareOption
from infc.plan.cost import least_usd_per_hour, usd_per_hour
from infc.plan.words import money_text

TIE = 1e-9
"""Values closer than this share of each other are equal."""


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The most replicas (redundant ones not counted) that a hard constraint allows, and which one it is."""

    replicas: int
    constraint: str
    limit: str


def hard_ceiling(
    problem: BaseProblem, option: HardwareOption, power_cap_w: float | None, *, devices: int = 1
) -> Ceiling | None:
    """The most replicas of `devices` each that money, the power cap and the count of accelerators allow here.

    The power cap holds for all devices at full draw (`power_cap_w` each), redundant ones and those of a rolling update
    included; the cost of owned devices for full draw, too. None when nothing limits them.
    """
    limits = problem.limits
    besides = limits.redundancy + limits.surge
    found: list[Ceiling] = []
    if limits.max_accelerators is not None:
        replicas = limits.max_accelerators // devices - besides
        words = f"max_accelerators {limits.max_accelerators}"
        found.append(Ceiling(replicas=replicas, constraint="max-accelerators", limit=words))
    if limits.max_usd_per_hour is not None and option.price is not None:
        replicas = _affordable(problem, option, limits.max_usd_per_hour, devices, usd_per_hour)
        words = f"max_cost {money_text(limits.max_usd_per_hour)}"
        found.append(Ceiling(replicas=replicas, constraint="max-cost", limit=words))
    if limits.max_power_w is not None and power_cap_w is not None:
        replicas = int(limits.max_power_w / power_cap_w + TIE) // devices - besides
        words = f"max_power {limits.max_power_w:g} W at {power_cap_w:g} W a device"
        found.append(Ceiling(replicas=replicas, constraint="max-power", limit=words))
    return min(found, key=lambda c: (c.replicas, c.constraint), default=None)


def tighter_ceiling(
    problem: BaseProblem, option: HardwareOption, hard: Ceiling | None, worst: float | None, *, devices: int = 1
) -> Ceiling | None:
    """The hard ceiling, or that of what would still cost no more than `worst` where cost is the objective."""
    if worst is None or problem.objective != "cost" or option.price is None:
        return hard
    replicas = _affordable(problem, option, worst, devices, least_usd_per_hour)
    if hard is not None and hard.replicas <= replicas:
        return hard
    return Ceiling(replicas=replicas, constraint="objective", limit=money_text(worst))


class _Cost(Protocol):
    def __call__(
        self, problem: BaseProblem, option: HardwareOption, needed: int, *, devices: int = 1
    ) -> float | None: ...


def _affordable(
    problem: BaseProblem, option: HardwareOption, most_usd_per_hour: float, devices: int, cost_of: _Cost
) -> int:
    def costs_at_most(needed: int) -> bool:
        cost = cost_of(problem, option, needed, devices=devices)
        return cost is not None and cost <= most_usd_per_hour * (1 + TIE)

    low, high = 0, 1
    while costs_at_most(high) and high < 1 << 20:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if costs_at_most(middle):
            low = middle
        else:
            high = middle
    return low
