"""Which power modes come nearest to a power cap that no mode meets together with every other constraint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from infc.ir.candidate import DynamicBatching
from infc.ir.plan import NearestMode, Rejection
from infc.ir.problem import Problem
from infc.plan.load import Loader
from infc.plan.search import ceiling
from infc.plan.sizing import Settings, Sized, Sizer
from infc.plan.space import Place, places

_PLAIN = DynamicBatching(max_batch_size=1)


@dataclass(frozen=True, kw_only=True)
class TriedMode:
    """A place in a power mode without the cap: `excess` is the worst constraint over its limit, 1 where all hold.

    `label` names the place, `power_w` is what all `devices` may draw.
    """

    label: str
    hardware_id: str
    power_mode: str
    devices: int
    power_w: float
    excess: float
    misses: tuple[str, ...]

    def is_same_mode(self, other: "TriedMode") -> bool:
        """Whether both are in one mode of one module."""
        return (self.hardware_id, self.power_mode) == (other.hardware_id, other.power_mode)


def nearest_modes(problem: Problem, loader: Loader) -> tuple[NearestMode, ...]:
    """The mode that draws least, and the one that comes nearest to meeting every constraint; one where they are one.

    Distance is the worst constraint over its limit: 15 W under a cap of 10 W is 1.5, a p99 of 30 ms against 20 ms as
    well. Empty where the spec has no power cap, or no device power modes, or none fits for other reasons.
    """
    cap_w = problem.limits.max_power_w
    return () if cap_w is None else nearest_of(tuple(_tried(problem, loader, cap_w)))


def nearest_of(tried: Sequence[TriedMode]) -> tuple[NearestMode, ...]:
    """Of modes that were tried, the one that draws least and the one that comes nearest; empty where none was."""
    if not tried:
        return ()
    lowest = min(tried, key=lambda t: (t.power_w / t.devices, t.excess, len(t.misses), t.label))
    nearest = min(tried, key=lambda t: (t.excess, len(t.misses), t.power_w, t.label))
    return tuple(
        NearestMode(
            candidate=each.label,
            hardware_id=each.hardware_id,
            power_mode=each.power_mode,
            devices=each.devices,
            power_w=each.power_w,
            is_lowest=each.is_same_mode(lowest),
            is_nearest=each.is_same_mode(nearest),
            misses=each.misses,
        )
        for each in ([lowest] if lowest.is_same_mode(nearest) else [lowest, nearest])
    )


def power_miss(power_w: float, cap_w: float) -> str | None:
    """That so many watts are over the cap; None where they are not."""
    return f"{power_w:g} W against {cap_w:g} W" if power_w > cap_w * (1 + 1e-9) else None


def _tried(problem: Problem, loader: Loader, cap_w: float) -> Iterator[TriedMode]:
    uncapped = replace(problem, limits=replace(problem.limits, max_power_w=None, power_mode=None))
    unjudged = replace(uncapped, latency=tuple(replace(target, limit_s=1e6) for target in problem.latency))
    sizer, fitting = Sizer(uncapped, loader), Sizer(unjudged, loader)
    for place in places(uncapped, loader.curves)[0]:
        site = place.site
        watts = site.power_cap_w
        if site.power_mode is None or watts is None or fitting.fits(site) is not None:
            continue
        sized = sizer.size(site, ceiling(uncapped, place))
        needed = sized.needed if isinstance(sized, Sized) else sizer.fewest(site)
        devices = needed + problem.limits.redundancy + problem.limits.surge
        power_w = watts * devices
        over = power_miss(power_w, cap_w)
        misses = [] if over is None else [over]
        excess = max(1.0, power_w / cap_w)
        if isinstance(sized, Rejection):
            misses.append(f"{sized.predicted} against {sized.limit}" if sized.limit else sized.predicted)
            excess = max(excess, _latency_ratio(problem, sizer, place, needed))
        if misses:
            yield TriedMode(
                label=site.label,
                hardware_id=site.hardware.id,
                power_mode=site.power_mode,
                devices=devices,
                power_w=power_w,
                excess=excess,
                misses=tuple(misses),
            )


def _latency_ratio(problem: Problem, sizer: Sizer, place: Place, replicas: int) -> float:
    """The worst percentile over its limit with so many replicas, batches or none: infinite where none carries it."""
    ratios = [float("inf")]
    for batch in (1, place.site.batch_sizes[-1]):
        settings = Settings(batching=replace(_PLAIN, max_batch_size=batch), instances=1)
        load = sizer.load(place.site, settings, replicas)
        if load is not None:
            ratios.append(load.slo_ratio(problem.latency))
    return min(ratios)
