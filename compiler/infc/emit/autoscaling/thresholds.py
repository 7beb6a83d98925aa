"""At which load a replica is joined by another: late enough to be no noise, early enough to keep the latency goals."""

import math
from dataclasses import dataclass

import numpy as np

from infc.emit.autoscaling.course import Course
from infc.emit.autoscaling.replica import Load, Replica
from infc.emit.monitoring.signals import RATE_WINDOW_S
from infc.plan.sizing import UTILIZATION_LIMIT

_STEPS = 7
"""Halvings of a search: less than a hundredth of the range is left."""
TOLERANCE = 0.1
"""Source: the default of --horizontal-pod-autoscaler-tolerance: a smaller deviation changes nothing."""
_LEAST_SHARE = 1.0 / 3.0
"""Each replica is given at least this share of what it bears: a rise that would ask for less is met by the minimum."""
_RATE_DEVIATIONS = 2.0
_NOISE_SHARE = 0.7
"""Chance alone may bring the backlog up to this share of what it is at the edge."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a deployment gets another replica.

    `edge` is the highest load that a replica bears, `target` the load that each is given. `backlog` is that of a
    replica from which another is started: between what chance reaches at the target and what piles up at the edge.
    `growth` is by which factor the rate rises while one starts, in `reaction_s` seconds. `fewest` replicas carry the
    lowest rate, and the rises that are too fast to be followed.
    """

    edge: Load
    target: Load
    backlog: float
    growth: float
    fewest: int
    reaction_s: float
    limited_by: str


def thresholds(
    replica: Replica, course: Course, reaction_s: float, most: int, target_utilization: float | None
) -> Thresholds:
    """The thresholds for a replica that meets such a course of the rate and takes `reaction_s` to be joined.

    `most` replicas run at the most: from ten on, one more is within the controller's tolerance, so each is given less.
    """
    edge = edge_of(replica)
    limits = {"the rise of the traffic while a replica starts": _followed_rps(edge.rate_rps, course, reaction_s, most)}
    if target_utilization is not None:
        limits["deploy.kubernetes.autoscale.target_utilization"] = target_utilization * replica.capacity_rps
    limits["the noise of the backlog"] = _quietest(replica, edge)
    limited_by, rate_rps = min(limits.items(), key=lambda each: each[1])
    target = replica.at(rate_rps)
    return Thresholds(
        edge=edge,
        target=target,
        backlog=_between(target.backlog_noise, edge.backlog / (1.0 + TOLERANCE)),
        growth=course.growth(reaction_s),
        fewest=_fewest(target.rate_rps, edge.rate_rps, course, reaction_s),
        reaction_s=reaction_s,
        limited_by=limited_by,
    )


def _followed_rps(edge_rps: float, course: Course, reaction_s: float, most: int) -> float:
    """What each replica may be given at most, so that those asked for now carry what comes while more start.

    As many are asked for as the rate over this figure, rounded up; the rate is counted over a minute, with noise.
    """
    now, later = course.rises(reaction_s)
    needed = np.ceil(later / edge_rps - 1e-9)
    is_rise = needed > 1
    fits = float(np.min(now[is_rise] / (needed[is_rise] - 1.0), initial=edge_rps))
    slack = 1.0 + _RATE_DEVIATIONS / math.sqrt(edge_rps * RATE_WINDOW_S)
    if most * TOLERANCE >= 1.0:
        slack *= 1.0 + TOLERANCE
    return max(fits / slack, _LEAST_SHARE * edge_rps)


def _fewest(target_rps: float, edge_rps: float, course: Course, reaction_s: float) -> int:
    """Replicas at every rate: those of the lowest, or those that a rise needs before more have started."""
    now, later = course.rises(reaction_s)
    needed, asked = np.ceil(later / edge_rps - 1e-9), np.maximum(1.0, np.ceil(now / target_rps - 1e-9))
    unfollowed = float(np.max(needed[asked < needed], initial=1.0))
    return max(1, math.ceil(course.lowest_rps / target_rps - 1e-9), int(unfollowed))


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
