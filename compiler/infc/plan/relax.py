"""What would make an infeasible spec feasible: one constraint at a time, relaxed by no more than needed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from infc.ir.candidate import DynamicBatching
from infc.ir.plan import Rejection, Relaxation
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, LatencyTarget, Origin, Problem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.assess import candidate_of
from infc.plan.cost import usd_per_hour
from infc.plan.load import Loader
from infc.plan.search import Found, Outcome, ceiling
from infc.plan.sizing import Settings, Sizer
from infc.plan.space import places
from infc.plan.words import duration_text, rate_text, rounded_up

Search: TypeAlias = Callable[[Problem], Outcome]
Market: TypeAlias = Callable[[], tuple[HardwareOption, ...]]
"""Devices that `constraints.hardware` rules out; only asked for when the spec is infeasible."""
_RATE_STEPS = 7


def relaxations(problem: Problem, search: Search, loader: Loader, market: Market) -> tuple[Relaxation, ...]:
    """The smallest change of each constraint that alone makes the spec feasible; empty when no single one does."""
    found = [
        relaxation
        for relaxation in (
            _latency(problem, search, loader),
            _peak(problem, search),
            *_limits(problem, search),
            _precision(problem, search),
            _hardware(problem, search, market),
            _accuracy(problem, search),
        )
        if relaxation is not None
    ]
    return tuple(found)


def binding_constraints(relaxed: Sequence[Relaxation], rejections: Sequence[Rejection]) -> tuple[str, ...]:
    """Spec paths that alone stand in the way; without one, the constraints that killed most, as their words."""
    if relaxed:
        return tuple(dict.fromkeys(r.path for r in relaxed))
    counts: dict[str, int] = {}
    for rejection in rejections:
        counts[rejection.constraint] = counts.get(rejection.constraint, 0) + 1
    return tuple(sorted(counts, key=lambda word: (-counts[word], word)))


def _latency(problem: Problem, search: Search, loader: Loader) -> Relaxation | None:
    """The percentiles of the place that comes closest, rounded up, confirmed by a search with them as limits."""
    targets = _closest(problem, loader)
    if targets is None:
        return None
    changed = tuple(t for t, old in zip(targets, problem.latency, strict=True) if t.limit_s != old.limit_s)
    if not changed:
        return None
    outcome = search(replace(problem, latency=targets))
    if not outcome.found:
        return None
    old = {t.label: t.limit_s for t in problem.latency}
    path = f"slo.latency.{changed[0].label}" if len(changed) == 1 else "slo.latency"
    return _relaxation(
        problem,
        outcome.found[0],
        path,
        ", ".join(f"{t.label} {duration_text(old[t.label])}" for t in changed),
        ", ".join(f"{t.label} {duration_text(t.limit_s)}" for t in changed),
    )


def _closest(problem: Problem, loader: Loader) -> tuple[LatencyTarget, ...] | None:
    """Targets that the place with the smallest excess over the SLO can hold, each only as loose as needed."""
    free = tuple(replace(target, limit_s=1e6) for target in problem.latency)
    unbounded = replace(problem, latency=free)
    sizer = Sizer(unbounded, loader)
    best: tuple[float, str, tuple[LatencyTarget, ...]] | None = None
    for place in places(unbounded)[0]:
        if sizer.fits(place.site) is not None:
            continue
        limit = ceiling(problem, place)
        needed = sizer.fewest(place.site)
        if limit is not None and limit.replicas < needed:
            continue
        replicas = min(limit.replicas, 4 * needed) if limit is not None else 4 * needed
        for batch in (1, place.site.batch_sizes[-1]):
            settings = Settings(batching=DynamicBatching(max_batch_size=batch), instances=1)
            load = sizer.load(place.site, settings, replicas)
            if load is None:
                continue
            targets = tuple(
                replace(t, limit_s=max(t.limit_s, rounded_up(load.percentile_s(t.percentile), 2)))
                for t in problem.latency
            )
            excess = max(new.limit_s / old.limit_s for new, old in zip(targets, problem.latency, strict=True))
            if best is None or (excess, place.site.label) < best[:2]:
                best = (excess, place.site.label, targets)
    return None if best is None else best[2]


def _peak(problem: Problem, search: Search) -> Relaxation | None:
    """The highest peak that can be served, found by bisection to 1%."""

    def at(share: float) -> Outcome:
        peak = problem.traffic.peak_rps * share
        traffic = replace(problem.traffic, peak_rps=peak, rate_rps=min(problem.traffic.rate_rps, peak))
        return search(replace(problem, traffic=traffic))

    low, high = 0.02, 1.0
    outcome = at(low)
    if not outcome.found:
        return None
    for _ in range(_RATE_STEPS):
        middle = (low + high) / 2
        attempt = at(middle)
        if attempt.found:
            low, outcome = middle, attempt
        else:
            high = middle
    path = "workload.peak" if problem.origins.get("workload.peak") is Origin.USER else "workload.rate"
    return _relaxation(
        problem,
        outcome.found[0],
        path,
        rate_text(problem.traffic.peak_rps),
        rate_text(problem.traffic.peak_rps * low),
    )


def _limits(problem: Problem, search: Search) -> Iterator[Relaxation | None]:
    limits = problem.limits
    if limits.max_usd_per_hour is not None:
        best = _first(search(replace(problem, limits=replace(limits, max_usd_per_hour=None))))
        cost = None if best is None else usd_per_hour(problem, best.place.option, best.sized.needed)
        if best is not None and cost is not None:
            monthly = rounded_up(cost * HOURS_PER_MONTH, 3)
            current = f"${limits.max_usd_per_hour * HOURS_PER_MONTH:,.0f}/month"
            yield _relaxation(problem, best, "constraints.max_cost", current, f"${monthly:,.0f}/month")
    if limits.max_accelerators is not None:
        best = _first(search(replace(problem, limits=replace(limits, max_accelerators=None))))
        if best is not None:
            yield _relaxation(
                problem, best, "constraints.max_accelerators", str(limits.max_accelerators), str(best.sized.total)
            )
    if limits.max_power_w is not None:
        best = _first(search(replace(problem, limits=replace(limits, max_power_w=None))))
        if best is not None and best.place.site.power_cap_w is not None:
            watts = f"{best.place.site.power_cap_w * best.sized.total:g}W"
            yield _relaxation(problem, best, "constraints.max_power", f"{limits.max_power_w:g}W", watts)
    if limits.redundancy:
        best = _first(search(replace(problem, limits=replace(limits, redundancy=0))))
        if best is not None:
            yield _relaxation(problem, best, "constraints.redundancy", str(limits.redundancy), "0")


def _precision(problem: Problem, search: Search) -> Relaxation | None:
    if problem.origins.get("constraints.precision") is not Origin.USER:
        return None
    limits = replace(problem.limits, precisions=tuple(Precision))
    best = _first(
        search(replace(problem, limits=limits, origins={**problem.origins, "constraints.precision": Origin.DEFAULT}))
    )
    if best is None:
        return None
    current = ", ".join(p.value for p in problem.limits.precisions)
    return _relaxation(problem, best, "constraints.precision", current, best.place.site.precision.value)


def _hardware(problem: Problem, search: Search, market: Market) -> Relaxation | None:
    allowed = {option.hardware.id for option in problem.options}
    others = tuple(option for option in market() if option.hardware.id not in allowed)
    best = _first(search(replace(problem, options=problem.options + others))) if others else None
    if best is None:
        return None
    current = ", ".join(sorted(allowed))
    return _relaxation(problem, best, "constraints.hardware", current, f"also {best.place.site.hardware.id}")


def _accuracy(problem: Problem, search: Search) -> Relaxation | None:
    """The accuracy that the failing evidence shows, when that evidence is what stands in the way."""
    goal = problem.accuracy
    if goal is None or not problem.evidence:
        return None
    best = _first(search(replace(problem, evidence=())))
    if best is None:
        return None
    shown = [e for e in problem.evidence if e.precision is best.place.site.precision and e.metric == goal.metric]
    if not shown:
        return None
    if goal.floor is not None and shown[0].value.low < goal.floor:
        return _relaxation(problem, best, "accuracy.floor", f"{goal.floor:g}", f"{shown[0].value.low:.4g}")
    if goal.max_drop is not None:
        return _relaxation(problem, best, "accuracy.max_drop", f"{goal.max_drop:.2%}", f"{shown[0].drop.high:.2%}")
    return None


def _first(outcome: Outcome) -> Found | None:
    return outcome.found[0] if outcome.found else None


def _relaxation(problem: Problem, found: Found, path: str, current: str, needed: str) -> Relaxation:
    cost = usd_per_hour(problem, found.place.option, found.sized.needed)
    return Relaxation(
        path=path,
        current=current,
        needed=needed,
        candidate=candidate_of(found.sized).label,
        usd_per_month=None if cost is None else cost * HOURS_PER_MONTH,
    )
