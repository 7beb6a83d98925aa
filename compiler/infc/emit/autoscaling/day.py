"""A day with the autoscaler, replayed: how many replicas run, whether they carry the load, what comes and goes."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from infc.emit.autoscaling.course import Course
from infc.emit.autoscaling.thresholds import TOLERANCE

STEP_S = 15.0
"""Source: the default of the controller's --horizontal-pod-autoscaler-sync-period."""
WINDOWS_S = (300.0, 600.0, 900.0, 1_800.0, 3_600.0)
"""Scale-down windows that are tried: Kubernetes' default, and up to the longest that it takes."""
_FLAP_S = 3_600.0
_SEED = 4151


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """What the replay takes: `target_rps` for each replica, `redundancy` besides, bounds and times."""

    target_rps: float
    redundancy: int
    fewest: int
    most: int
    start_s: float
    metric_s: float
    window_s: float


@dataclass(frozen=True, kw_only=True)
class Day:
    """What the replay saw, over the second of two periods. `overloaded_s` is how long a replica had more than the edge.

    `flaps` counts replicas that were taken away and asked for again within the hour.
    """

    mean_replicas: float
    fewest: int
    most: int
    overloaded_s: float
    flaps: int


def replay(course: Course, scaling: Scaling, edge_rps: float) -> Day:
    """Two periods of the course through the autoscaler's rule, the rate with the noise that arrivals have.

    Source: Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details: the wanted number is the metric
    over its target, rounded up, and the highest wanted within the window before fewer are kept.
    """
    count = int(2 * course.period_s / STEP_S)
    times_s = np.arange(count) * STEP_S
    rates = course.at(times_s)
    arrived = np.random.default_rng(_SEED).poisson(rates * STEP_S)
    window, seen = max(1, round(scaling.metric_s / STEP_S)), deque[float]()
    wanted_before: deque[int] = deque(maxlen=max(1, round(scaling.window_s / STEP_S)))
    starting: deque[tuple[float, int]] = deque()
    asked = ready = _bounded(float(rates[0]) / scaling.target_rps + scaling.redundancy, scaling)
    taken: deque[float] = deque()
    running: list[int] = []
    overloaded_s, flaps, half = 0.0, 0, count // 2
    for index in range(count):
        now_s = float(times_s[index])
        while starting and starting[0][0] <= now_s:
            ready += starting.popleft()[1]
        ready = min(ready, asked)
        seen.append(arrived[index] / STEP_S)
        if len(seen) > window:
            seen.popleft()
        measure = math.ceil(sum(seen) / len(seen) / scaling.target_rps) + scaling.redundancy
        is_within = abs(measure / asked - 1.0) <= TOLERANCE + 1e-9
        wanted_before.append(asked if is_within else _bounded(measure, scaling))
        new = max(wanted_before[-1], min(asked, max(wanted_before)))
        if new > asked:
            starting.append((now_s + scaling.start_s, new - asked))
            recent = sum(1 for at_s in taken if now_s - at_s <= _FLAP_S)
            flaps += min(recent, new - asked) if index >= half else 0
        elif new < asked:
            taken.extend([now_s] * (asked - new))
        asked = new
        if index >= half:
            running.append(asked)
            carrying = max(1, ready - scaling.redundancy)
            overloaded_s += STEP_S if rates[index] > edge_rps * carrying * (1 + 1e-9) else 0.0
    return Day(
        mean_replicas=sum(running) / len(running),
        fewest=min(running),
        most=max(running),
        overloaded_s=overloaded_s,
        flaps=flaps,
    )


def _bounded(measure: float, scaling: Scaling) -> int:
    return min(max(math.ceil(measure - 1e-9), scaling.fewest), scaling.most)
