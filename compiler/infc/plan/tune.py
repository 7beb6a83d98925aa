"""The winner's scheduler settings in detail: the smallest batch that is as good, and what a queue delay would do."""

from dataclasses import dataclass, replace

from infc.ir.candidate import DynamicBatching
from infc.ir.problem import Problem
from infc.plan.sizing import QUEUE_DELAYS_S, Settings, Sized, Sizer

AS_GOOD = 1.02
"""Batching is left out when no judged percentile grows by more than this factor without it."""
DELAY_GAIN = 1.03
"""A queue delay has to bring the worst percentile down by this factor to be worth its complication."""
DELAYS = (*((delay_s, False) for delay_s in QUEUE_DELAYS_S), (QUEUE_DELAYS_S[0], True))
"""Queue delays that are compared with none: each with batch prefetch off, and the smallest with it on."""
_BATCHES_FORM = 1.05


@dataclass(frozen=True, kw_only=True)
class DelayFinding:
    """What a queue delay would do.

    The judged percentile in seconds at none, and at `delay_s` with and without prefetch.
    """

    delay_s: float
    percentile: float
    without_delay_s: float
    with_prefetch_s: float | None
    without_prefetch_s: float | None


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The tuned candidate, and what was learned of queue delays (None where batches hardly form)."""

    sized: Sized
    delays: DelayFinding | None


def tuned(problem: Problem, sized: Sized, sizer: Sizer) -> Tuning:
    """The same replicas with settled details; every percentile still holds."""
    smaller = _smallest_batch(problem, sized, sizer)
    if smaller.load.mean_batch_size < _BATCHES_FORM:
        return Tuning(sized=smaller, delays=None)
    finding, best = _delays(problem, smaller, sizer)
    return Tuning(sized=best, delays=finding)


def _smallest_batch(problem: Problem, sized: Sized, sizer: Sizer) -> Sized:
    """No batching where it does not help, else as it was."""
    if sized.settings.batching.max_batch_size == 1:
        return sized
    alone = _settings_with_batch(sized.settings, 1)
    load = sizer.load(sized.site, alone, sized.needed)
    if load is None or load.slo_ratio(problem.latency) > 1.0:
        return sized
    if any(load.percentile_s(t.percentile) > sized.load.percentile_s(t.percentile) * AS_GOOD for t in problem.latency):
        return sized
    return replace(sized, settings=alone, load=load)


def _settings_with_batch(settings: Settings, batch_size: int) -> Settings:
    return replace(settings, batching=replace(settings.batching, max_batch_size=batch_size))


def _delays(problem: Problem, sized: Sized, sizer: Sizer) -> tuple[DelayFinding, Sized]:
    """Compare queue delays on a short run; a delay that is clearly better is verified on the full one."""
    quick = sizer.quick()
    base = quick.load(sized.site, sized.settings, sized.needed)
    assert base is not None  # noqa: S101 - the full run was within the utilisation limit
    judged = max(target.percentile for target in problem.latency)
    best, best_ratio = sized, base.slo_ratio(problem.latency)
    seconds: dict[tuple[float, bool], float] = {}
    for delay_s, has_prefetch in DELAYS:
        settings = _delayed(sized.settings, delay_s, has_prefetch=has_prefetch)
        load = quick.load(sized.site, settings, sized.needed)
        assert load is not None  # noqa: S101 - the utilisation limit does not depend on the delay
        seconds[delay_s, has_prefetch] = load.percentile_s(judged)
        ratio = load.slo_ratio(problem.latency)
        if ratio * DELAY_GAIN < best_ratio:
            full = sizer.load(sized.site, settings, sized.needed)
            if full is not None and full.slo_ratio(problem.latency) * DELAY_GAIN < best.load.slo_ratio(problem.latency):
                best, best_ratio = replace(sized, settings=settings, load=full), ratio
    shown_s = best.settings.batching.max_queue_delay_s or DELAYS[0][0]
    finding = DelayFinding(
        delay_s=shown_s,
        percentile=judged,
        without_delay_s=base.percentile_s(judged),
        with_prefetch_s=seconds.get((shown_s, True)),
        without_prefetch_s=seconds.get((shown_s, False)),
    )
    return finding, best


def _delayed(settings: Settings, delay_s: float, *, has_prefetch: bool) -> Settings:
    batching = DynamicBatching(
        max_batch_size=settings.batching.max_batch_size, max_queue_delay_s=delay_s, has_prefetch=has_prefetch
    )
    return replace(settings, batching=batching)
