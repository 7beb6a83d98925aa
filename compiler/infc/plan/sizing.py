"""How many replicas a site needs, and with which settings: the fewest at which every percentile holds at the peak."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from infc.ir.candidate import DynamicBatching
from infc.ir.plan import Rejection
from infc.ir.problem import LatencyTarget, Problem
from infc.ir.service_time import ServiceTimeCurve
from infc.perf import Unsupported
from infc.perf.memory import usable_memory_bytes
from infc.plan.ceiling import Ceiling
from infc.plan.load import Loader, LoadResult
from infc.plan.site import Setup, Site
from infc.plan.words import counted, duration_text, rate_text, size_text

UTILIZATION_LIMIT = 0.85
"""Largest offered load as a share of what a replica can sustain.

Beyond it a slow execution or a burst tips the queue over.
"""
QUEUE_DELAYS_S = (0.0005, 0.002)
"""Queue delays that are tried besides none."""
ROOM = 0.7
"""Worst percentile as a share of its limit that leaves room for a wrong prediction.

No other settings are looked for then.
"""
CLEAR_GAIN = 1.1
"""More instances have to bring the worst percentile down by this factor."""
_MOST_REPLICAS = 4096


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Scheduler settings of one replica."""

    batching: DynamicBatching
    instances: int


@dataclass(frozen=True, kw_only=True)
class Sized:
    """The fewest `needed` replicas that carry the peak, and what they saw; `total` adds the redundant ones."""

    site: Site
    settings: Settings
    needed: int
    total: int
    load: LoadResult


class Sizer:
    """Sizes sites of one problem; all simulations run on the same arrivals."""

    def __init__(self, problem: Problem, loader: Loader, *, is_quick: bool = False) -> None:
        self._problem = problem
        self._is_quick = is_quick
        self._quick: Sizer | None = None
        self._loader = loader
        self._targets: Sequence[LatencyTarget] = problem.latency
        self._peak_rps = problem.traffic.peak_rps
        self._redundancy = problem.limits.redundancy
        self._setups: dict[str, list[Setup]] = {}
        self._rates: dict[tuple[tuple[float, ...], int], float] = {}

    def quick(self) -> "Sizer":
        """A sizer of the same problem on shorter simulations, for comparisons only."""
        if self._quick is None:
            self._quick = Sizer(self._problem, self._loader.shorter, is_quick=True)
        return self._quick

    def fits(self, site: Site) -> Rejection | None:
        """The constraint that rules the site out before any simulation, None when none does."""
        curve = site.curve(1)
        if isinstance(curve, Unsupported):
            return Rejection(candidate=site.label, constraint="precision-support", predicted=curve.reason, limit="")
        smallest = site.memory(Setup(max_batch_size=1, instances=1)).total_bytes
        if smallest > self.memory_limit_bytes(site):
            limit = size_text(self.memory_limit_bytes(site))
            return Rejection(
                candidate=site.label, constraint="memory", predicted=size_text(smallest), limit=f"{limit} usable"
            )
        fastest = curve.at(1).value + self._loader.handling.value
        tightest = min(self._targets, key=lambda target: target.limit_s)
        if fastest > tightest.limit_s:
            return Rejection(
                candidate=site.label,
                constraint="latency",
                predicted=f"{duration_text(fastest)} of service before any queueing",
                limit=f"{tightest.label} {duration_text(tightest.limit_s)}",
            )
        return None

    def memory_limit_bytes(self, site: Site) -> float:
        """What the deployment may use of one device."""
        usable = usable_memory_bytes(site.hardware, self._problem.reserved_bytes(site.hardware.id))
        limit = self._problem.limits.max_memory_bytes
        return usable if limit is None else min(usable, limit)

    def fewest(self, site: Site) -> int:
        """A lower bound of the replicas that carry the peak within the utilisation limit, redundancy not included."""
        return max(1, math.ceil(self._peak_rps / (UTILIZATION_LIMIT * self.best_capacity_rps(site)) - 1e-9))

    def best_capacity_rps(self, site: Site) -> float:
        """Requests per second that one replica sustains with the best of its setups."""
        return max(self.capacity_rps(site, setup) for setup in self._widest(site))

    def capacity_rps(self, site: Site, setup: Setup) -> float:
        """Requests per second that one replica sustains when batches fill as they will, and its server takes in."""
        return min(self._device_rps(site, setup), self._loader.front_end_rps)

    def best_device_rps(self, site: Site) -> float:
        """Requests per second that one device sustains with the best of its setups, whatever its server takes in."""
        return max(self._device_rps(site, setup) for setup in self._widest(site))

    def is_front_end_bound(self, site: Site, setup: Setup) -> bool:
        """Whether the server's front end, not the device, limits what one replica sustains."""
        return self._device_rps(site, setup) > self._loader.front_end_rps

    def _device_rps(self, site: Site, setup: Setup) -> float:
        seconds = _known(site.curve(setup.instances)).values[: setup.max_batch_size]
        key = (seconds, setup.instances)
        if key not in self._rates:
            self._rates[key] = max(setup.instances * (index + 1) / value for index, value in enumerate(seconds))
        return self._rates[key]

    def size(self, site: Site, ceiling: Ceiling | None = None) -> Sized | Rejection:
        """The fewest replicas and the settings, or the constraint that no count of replicas up to the ceiling meets."""
        low = self.fewest(site)
        most = _MOST_REPLICAS if ceiling is None else ceiling.replicas
        if ceiling is not None and low > most:
            predicted = f"at least {low + self._redundancy} replicas for {rate_text(self._peak_rps)}"
            if all(self.is_front_end_bound(site, setup) for setup in self._widest(site)):
                predicted += f", one server's front end takes {rate_text(self._loader.front_end_rps)}"
            return Rejection(
                candidate=site.label,
                constraint=ceiling.constraint,
                predicted=predicted,
                limit=ceiling.limit,
            )
        found = self.settle(site, low)
        if found is not None:
            return found
        guess = (self if self._is_quick else self.quick())._guess(site, low, most)
        return self._confirm(site, low, guess, most, ceiling)

    def _guess(self, site: Site, low: int, most: int) -> int:
        """Where the fewest replicas about are: growth, then bisection."""
        previous, high = low, min(most, low + 1)
        while high < most and self.settle(site, high) is None:
            previous, high = high, min(most, max(high + 1, round(high * 1.6)))
        while high - previous > 1:
            middle = (previous + high) // 2
            if self.settle(site, middle) is None:
                previous = middle
            else:
                high = middle
        return high

    def _confirm(self, site: Site, low: int, guess: int, most: int, ceiling: Ceiling | None) -> Sized | Rejection:
        """The fewest replicas near `guess`; one fewer is tried with queue delays too. `low` itself is known to fail."""
        high = max(low + 1, min(guess, most))
        found = self.settle(site, high) if high <= most else None
        while found is None:
            if high >= most:
                return self.settle(site, most, with_delays=True) or self._misses(site, most, ceiling)
            high += 1
            found = self.settle(site, high)
        while high - 1 > low and (fewer := self.settle(site, high - 1)) is not None:
            found, high = fewer, high - 1
        return self.settle(site, high - 1, with_delays=True) or found

    def settle(self, site: Site, needed: int, *, with_delays: bool = False) -> Sized | None:
        """Settings with which `needed` replicas hold every percentile at the peak, None when none do.

        The simplest settings are taken when they leave room; else those that leave clearly more.
        """
        best: tuple[float, Settings, LoadResult] | None = None
        for settings in self._settings(site, with_delays=with_delays):
            if self._surely_misses(site, settings, needed):
                continue
            load = self.load(site, settings, needed)
            if load is None:
                continue
            ratio = load.slo_ratio(self._targets)
            if ratio <= 1.0 and (best is None or ratio < best[0] / CLEAR_GAIN):
                best = (ratio, settings, load)
                if ratio <= ROOM:
                    break
        if best is None:
            return None
        _, settings, load = best
        return Sized(
            site=site,
            settings=self._with_room(site, settings, needed, load),
            needed=needed,
            total=needed + self._redundancy,
            load=load,
        )

    def _with_room(self, site: Site, settings: Settings, needed: int, load: LoadResult) -> Settings:
        """The largest batch cut to twice what formed, which changes nothing in the simulation and keeps room."""
        batching = settings.batching
        for size in site.batch_sizes:
            if 2 * load.largest_batch <= size < batching.max_batch_size:
                setup = Setup(max_batch_size=size, instances=settings.instances)
                if self._peak_rps / needed <= UTILIZATION_LIMIT * self.capacity_rps(site, setup):
                    return replace(settings, batching=replace(batching, max_batch_size=size))
        return settings

    def load(self, site: Site, settings: Settings, replicas: int) -> LoadResult | None:
        """One of `replicas` under its share of the peak; None when that is beyond the utilisation limit."""
        rate = self._rate_rps(site, settings, replicas)
        if rate is None:
            return None
        curve = _known(site.curve(settings.instances))
        return self._loader.run(rate, curve.values, settings.batching, settings.instances)

    def _surely_misses(self, site: Site, settings: Settings, replicas: int) -> bool:
        """Whether a share of the simulation is enough to rule the settings out."""
        rate = self._rate_rps(site, settings, replicas)
        if rate is None:
            return True
        curve = _known(site.curve(settings.instances))
        return self._loader.surely_misses(rate, curve.values, settings.batching, settings.instances, self._targets)

    def _rate_rps(self, site: Site, settings: Settings, replicas: int) -> float | None:
        """The rate of one of `replicas`; None when that is beyond the utilisation limit."""
        rate = self._peak_rps / replicas
        setup = Setup(max_batch_size=settings.batching.max_batch_size, instances=settings.instances)
        return None if rate > UTILIZATION_LIMIT * self.capacity_rps(site, setup) * (1 + 1e-9) else rate

    def _settings(self, site: Site, *, with_delays: bool) -> Iterator[Settings]:
        for setup in self._widest(site):
            if not with_delays:
                for size in dict.fromkeys((setup.max_batch_size, 1)):
                    yield Settings(batching=DynamicBatching(max_batch_size=size), instances=setup.instances)
                continue
            for delay in QUEUE_DELAYS_S if setup.max_batch_size > 1 else ():
                for has_prefetch in (False, True):
                    yield Settings(
                        batching=DynamicBatching(
                            max_batch_size=setup.max_batch_size, max_queue_delay_s=delay, has_prefetch=has_prefetch
                        ),
                        instances=setup.instances,
                    )

    def _widest(self, site: Site) -> list[Setup]:
        """For each count of instances the largest batch that fits into memory: without a delay it is never worse."""
        if site.label in self._setups:
            return self._setups[site.label]
        limit = self.memory_limit_bytes(site)
        found: list[Setup] = []
        for instances in site.instance_counts:
            fitting = [
                setup
                for size in site.batch_sizes
                if site.memory(setup := Setup(max_batch_size=size, instances=instances)).total_bytes <= limit
            ]
            found += fitting[-1:]
        self._setups[site.label] = found
        return found

    def _misses(self, site: Site, replicas: int, ceiling: Ceiling | None) -> Rejection:
        """Why even `replicas` do not hold the SLO, at the best settings."""
        best: tuple[float, LatencyTarget, float] | None = None
        for settings in self._settings(site, with_delays=False):
            load = self.load(site, settings, replicas)
            if load is None:
                continue
            worst = max(self._targets, key=lambda t: load.percentile_s(t.percentile) / t.limit_s)
            value = load.percentile_s(worst.percentile)
            if best is None or value / worst.limit_s < best[0]:
                best = (value / worst.limit_s, worst, value)
        assert best is not None  # noqa: S101 - `fewest` keeps at least one setting under the utilisation limit
        _, target, value = best
        how = "however many replicas" if replicas >= _MOST_REPLICAS else f"with {counted(replicas, 'replica')}"
        predicted = f"{target.label} {duration_text(value)} {how}"
        limit = f"{target.label} {duration_text(target.limit_s)}"
        if ceiling is None:
            return Rejection(candidate=site.label, constraint="latency", predicted=predicted, limit=limit)
        return Rejection(
            candidate=site.label, constraint=ceiling.constraint, predicted=predicted, limit=f"{limit}, {ceiling.limit}"
        )


def _known(curve: ServiceTimeCurve | Unsupported) -> ServiceTimeCurve:
    assert isinstance(curve, ServiceTimeCurve)  # noqa: S101 - `fits` has ruled the others out
    return curve
