"""The locked prediction with its parts: the decision of the lock under the spec's peak, simulated again.

The lock holds percentiles of the whole latency. How much of it is queueing, and how long one execution takes, follow
from the same service times and the same arrivals; that the result is the locked one is checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infc.ir.candidate import Candidate, DynamicBatching
from infc.ir.interval import Interval
from infc.ir.problem import Problem
from infc.ir.service_time import ServiceTimeCurve
from infc.lock import LockEntry
from infc.lock.drift.triton_load import PredictedLoad
from infc.perf import Unsupported
from infc.plan.load import SEED, WARM_UP, loader_for, requests_for
from infc.plan.site import Site
from infc.plan.space import places
from infc.sim.arrivals import arrival_times_s
from infc.sim.dynamic_batching import simulate

_SAME = 0.02
"""By how much a mean may differ from the locked one, which is rounded, to still be the locked prediction."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One simulation: latencies by label, and the means of its parts, in seconds."""

    latency_s: Mapping[str, float]
    queue_s: float
    compute_s: float
    mean_batch_size: float


def predicted_load(problem: Problem, entry: LockEntry) -> PredictedLoad | None:
    """The locked decision at the peak; None where its place or its service times are not known any more.

    `problem` is to know the measurements that the lock names, and no others.
    """
    candidate = entry.choice.candidate()
    site = _site(problem, candidate)
    batching = candidate.batching
    if site is None or not isinstance(batching, DynamicBatching):
        return None
    curve = site.curve(candidate.instances_per_gpu)
    if isinstance(curve, Unsupported) or len(curve.seconds) < batching.max_batch_size:
        return None
    curve = ServiceTimeCurve(seconds=curve.seconds[: batching.max_batch_size], basis=curve.basis)
    handling = loader_for(problem).handling
    value, low, high = (
        _run(problem, candidate, batching, seconds, handling_s)
        for seconds, handling_s in (
            (curve.values, handling.value),
            ([each.low for each in curve.seconds], handling.low),
            ([each.high for each in curve.seconds], handling.high),
        )
    )
    locked_ms = entry.predicted.latency_ms.get("mean")
    mean_s = value.latency_s["mean"]
    return PredictedLoad(
        latency_s={
            label: _interval(value.latency_s[label], low.latency_s[label], high.latency_s[label])
            for label in value.latency_s
        },
        queue_s=_interval(value.queue_s, low.queue_s, high.queue_s),
        compute_s=_interval(value.compute_s, low.compute_s, high.compute_s),
        service_time=curve,
        mean_batch_size=value.mean_batch_size,
        is_locked=locked_ms is not None and abs(mean_s * 1e3 - locked_ms) <= _SAME * locked_ms,
    )


def _site(problem: Problem, candidate: Candidate) -> Site | None:
    found, _ = places(problem)
    for place in found:
        site = place.site
        same = (site.hardware.id, site.precision, site.power_mode, site.dla_core)
        if same == (candidate.hardware_id, candidate.precision, candidate.power_mode, candidate.dla_core):
            return site
    return None


def _run(
    problem: Problem, candidate: Candidate, batching: DynamicBatching, service_s: Sequence[float], handling_s: float
) -> _Run:
    """The arrivals that the plan was made on, at one replica's share of the peak."""
    rate_rps = problem.traffic.peak_rps / candidate.replicas
    unit = arrival_times_s(problem.traffic.arrival, 1.0, requests_for(problem.latency), SEED)
    has_dynamic_shapes = bool(problem.model.axes)
    result = simulate(
        unit / rate_rps, service_s, batching, candidate.instances_per_gpu, has_dynamic_shapes=has_dynamic_shapes
    )
    latency, queue = result.latency_s[WARM_UP:], result.queue_s[WARM_UP:]
    ordered = np.sort(latency)
    labels = {50.0, 90.0, 95.0, 99.0, *(target.percentile for target in problem.latency)}
    ranks = {f"p{p:g}": min(max(int(np.ceil(p / 100.0 * len(ordered))), 1), len(ordered)) for p in sorted(labels)}
    return _Run(
        latency_s={
            "mean": float(latency.mean()) + handling_s,
            **{label: float(ordered[rank - 1]) + handling_s for label, rank in ranks.items()},
        },
        queue_s=float(queue.mean()),
        compute_s=float((latency - queue).mean()),
        mean_batch_size=result.mean_batch_size,
    )


def _interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=min(value, low), high=max(value, high))
