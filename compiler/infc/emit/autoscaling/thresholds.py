"""At which load a replica is joined by another: late enough to be no noise, early enough to keep the latency goals."""

import math
from dataclasses import dataclass

from infc.emit.autoscaling.course import Course
from infc.emit.autoscaling.replica import Load, Replica
from infc.plan.sizing import UTILIZATION_LIMIT

_STEPS = 7
"""Halvings of a search: less than a hundredth of the range is left."""
TOLERANCE = 0.1
"""Source: the default of --horizontal-pod-autoscaler-tolerance: a smaller deviation changes nothing."""
_NOISE_SHARE = 0.7
"""Chance alone may bring the backlog up to this share of what it is at the edge."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a deployment gets another replica.

    `edge` is the highest load that a replica bears, `target` the load that each is given. `backlog` is that of a
    replica from which another is started: between what chance reaches at the target and what piles up at the edge.
    `growth` is by which factor the rate rises while one starts, in `reaction_s` seconds.
    """

    edge: Load
    target: Load
    backlog: float
    growth: float
    reaction_s: float
    limited_by: str


def thresholds(
    replica: Replica, course: Course, reaction_s: float, most: int, target_utilization: float | None
) -> Thresholds:
    """The thresholds for a replica that meets such a course of the rate and takes `reaction_s` to be joined.

    `most` replicas run at the most: from ten on, one more is within the controller's tolerance, so each is given less.
    """
    edge = edge_of(replica)
    growth = course.growth(reaction_s)
    overlooked = 1.0 + TOLERANCE if most * TOLERANCE >= 1.0 else 1.0
    limits = {"the rise of the traffic while a replica starts": edge.rate_rps / growth / overlooked}
    if target_utilization is not None:
        limits["deploy.kubernetes.autoscale.target_utilization"] = target_utilization * replica.capacity_rps
    limits["the noise of the backlog"] = _quietest(replica, edge)
    limited_by, rate_rps = min(limits.items(), key=lambda each: each[1])
    target = replica.at(rate_rps)
    return Thresholds(
        edge=edge,
        target=target,
        backlog=_between(target.backlog_noise, edge.backlog / (1.0 + TOLERANCE)),
        growth=growth,
        reaction_s=reaction_s,
        limited_by=limited_by,
    )


def edge_of(replica: Replica) -> Load:
    """The highest load with the goals kept and no more use of the capacity than plans allow themselves.

    Of a replica that never keeps them, the lowest load that was tried.
    """
    low, high = 0.0, UTILIZATION_LIMIT * replica.capacity_rps
    if replica.at(high).worst <= 1.0:
        return replica.at(high)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if replica.at(middle).worst <= 1.0 else (low, middle)
    return replica.at(low or high)


def _quietest(replica: Replica, edge: Load) -> float:
    """The highest rate at which chance does not reach the edge's backlog."""
    low, high = 0.0, edge.rate_rps
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        is_quiet = replica.at(middle).backlog_noise <= _NOISE_SHARE * edge.backlog
        low, high = (middle, high) if is_quiet else (low, middle)
    return low or high


def _between(noise: float, edge: float) -> float:
    """A threshold as far above the noise as it is below the edge, as a factor."""
    if noise <= 0.0:
        return edge / 2.0
    return math.sqrt(noise * edge) if noise < edge else edge
