"""What a plan saves over the deployment that the lock holds, both at the prices of today's books."""

from dataclasses import dataclass, replace

from infc.ir.candidate import Candidate
from infc.ir.plan import Plan
from infc.ir.problem import BaseProblem, HardwareOption
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.cost import usd_per_hour

MONTHS_PER_YEAR = 12
_SAME = 0.005
"""Costs within this share of each other are the same."""


@dataclass(frozen=True, kw_only=True)
class Locked:
    """The deployment that the lock holds, with the cost and the power that were predicted when it was locked."""

    candidate: Candidate
    usd_per_hour: float | None
    power_w: float | None


@dataclass(frozen=True, kw_only=True)
class Savings:
    """Money before and after. Each is None where no price is known.

    `before_usd_per_month` is at today's prices, `locked_usd_per_month` what the lock says. `before_power_w` and
    `after_power_w` are as predicted at the peak.
    """

    before: Candidate
    after: Candidate
    before_usd_per_month: float | None
    locked_usd_per_month: float | None
    after_usd_per_month: float | None
    before_power_w: float | None
    after_power_w: float | None

    @property
    def usd_per_month(self) -> float | None:
        """What is saved a month; negative where the plan costs more."""
        if self.before_usd_per_month is None or self.after_usd_per_month is None:
            return None
        return self.before_usd_per_month - self.after_usd_per_month

    @property
    def usd_per_year(self) -> float | None:
        """What is saved in twelve months."""
        return None if self.usd_per_month is None else self.usd_per_month * MONTHS_PER_YEAR

    @property
    def share(self) -> float | None:
        """The saving as a share of the cost before."""
        if self.usd_per_month is None or not self.before_usd_per_month:
            return None
        return self.usd_per_month / self.before_usd_per_month

    @property
    def is_worth_saying(self) -> bool:
        """Whether the deployment or its cost differs from the lock's."""
        if replace(self.before, server=self.after.server) != self.after:
            return True
        now, then = self.after_usd_per_month, self.locked_usd_per_month
        return now is not None and then is not None and abs(now - then) > _SAME * then


def savings(problem: BaseProblem, plan: Plan, locked: Locked, option: HardwareOption | None) -> Savings:
    """The locked deployment beside the plan. `option` is the locked device with today's prices, None without any."""
    before, cost = locked.candidate, plan.estimate.cost
    hourly = None if option is None else _repriced(problem, locked, option)
    power = plan.estimate.power_w
    return Savings(
        before=before,
        after=plan.candidate,
        before_usd_per_month=None if hourly is None else hourly * HOURS_PER_MONTH,
        locked_usd_per_month=None if locked.usd_per_hour is None else locked.usd_per_hour * HOURS_PER_MONTH,
        after_usd_per_month=None if cost is None else cost.usd_per_month,
        before_power_w=locked.power_w,
        after_power_w=None if power is None else power.value,
    )


def _repriced(problem: BaseProblem, locked: Locked, option: HardwareOption) -> float | None:
    """What the locked replicas cost an hour today, under the spec's traffic and terms."""
    candidate = locked.candidate
    redundancy = min(problem.limits.redundancy, candidate.replicas - 1)
    fixed = replace(problem, limits=replace(problem.limits, redundancy=redundancy))
    devices = candidate.replicas * candidate.devices
    return usd_per_hour(
        fixed,
        option,
        candidate.replicas - redundancy,
        devices=candidate.devices,
        power_w=None if locked.power_w is None else locked.power_w / devices,
    )
