"""What would make an infeasible spec feasible: one constraint at a time, relaxed by no more than needed.

What a looser SLO would have to be depends on the kind of model, so it is asked for; all else is the same for every one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from infc.ir.plan import Rejection, Relaxation
from infc.ir.precision import Precision
from infc.ir.problem import AnyProblem, HardwareOption, Origin
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.words import rate_text, rounded_up

Q = TypeVar("Q", bound=AnyProblem)


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best feasible place of a changed problem: what a relaxation says of it.

    `devices` and `power_cap_w` are of all replicas, redundant ones included.
    """

    label: str
    hardware_id: str
    precision: Precision
    devices: int
    power_cap_w: float | None
    usd_per_hour: float | None
    power_mode: str | None = None


Search: TypeAlias = Callable[[Q], Best | None]
Market: TypeAlias = Callable[[], tuple[HardwareOption, ...]]
"""Devices that `constraints.hardware` rules out; only asked for when the spec is infeasible."""
_RATE_STEPS = 7


def relaxations(
    problem: Q,
    search: Search[Q],
    market: Market,
    slo: Callable[[], Relaxation | None],
    is_feasible: Callable[[Q], bool] | None = None,
) -> tuple[Relaxation, ...]:
    """The smallest change of each constraint that alone makes the spec feasible; empty when no single one does.

    `slo` finds the loosening of the latency targets. `is_feasible` says whether `search` would find anything, where
    that takes less than the best place.
    """
    found = [
        relaxation
        for relaxation in (
            slo(),
            _peak(problem, search, is_feasible),
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


def relaxation(best: Best, path: str, current: str, needed: str) -> Relaxation:
    """A change of `path` with the plan that it would lead to."""
    cost = best.usd_per_hour
    return Relaxation(
        path=path,
        current=current,
        needed=needed,
        candidate=best.label,
        usd_per_month=None if cost is None else cost * HOURS_PER_MONTH,
    )


def _peak(problem: Q, search: Search[Q], is_feasible: Callable[[Q], bool] | None) -> Relaxation | None:
    """The highest peak that can be served, found by bisection to 1%; only there the best place is looked for."""

    def at(share: float) -> Q:
        peak = problem.traffic.peak_rps * share
        traffic = replace(problem.traffic, peak_rps=peak, rate_rps=min(problem.traffic.rate_rps, peak))
        return replace(problem, traffic=traffic)

    found: dict[float, Best | None] = {}

    def is_served(share: float) -> bool:
        if is_feasible is not None:
            return is_feasible(at(share))
        found[share] = search(at(share))
        return found[share] is not None

    low, high = 0.02, 1.0
    if not is_served(low):
        return None
    for _ in range(_RATE_STEPS):
        middle = (low + high) / 2
        if is_served(middle):
            low = middle
        else:
            high = middle
    best = found[low] if low in found else search(at(low))
    if best is None:
        return None
    path = "workload.peak" if problem.origins.get("workload.peak") is Origin.USER else "workload.rate"
    return relaxation(best, path, rate_text(problem.traffic.peak_rps), rate_text(problem.traffic.peak_rps * low))


def _limits(problem: Q, search: Search[Q]) -> Iterator[Relaxation | None]:
    limits = problem.limits
    if limits.max_usd_per_hour is not None:
        best = search(replace(problem, limits=replace(limits, max_usd_per_hour=None)))
        if best is not None and best.usd_per_hour is not None:
            monthly = rounded_up(best.usd_per_hour * HOURS_PER_MONTH, 3)
            current = f"${limits.max_usd_per_hour * HOURS_PER_MONTH:,.0f}/month"
            yield relaxation(best, "constraints.max_cost", current, f"${monthly:,.0f}/month")
    if limits.max_accelerators is not None:
        best = search(replace(problem, limits=replace(limits, max_accelerators=None)))
        if best is not None:
            yield relaxation(best, "constraints.max_accelerators", str(limits.max_accelerators), str(best.devices))
    if limits.max_power_w is not None:
        best = _least_power(problem, search, limits.max_power_w)
        if best is not None and best.power_cap_w is not None:
            yield relaxation(best, "constraints.max_power", f"{limits.max_power_w:g}W", f"{best.power_cap_w:g}W")
    if limits.power_mode is not None:
        best = search(replace(problem, limits=replace(limits, power_mode=None)))
        if best is not None and best.power_mode is not None:
            yield relaxation(best, "deploy.jetson.power_mode", limits.power_mode, best.power_mode)
    if limits.redundancy:
        best = search(replace(problem, limits=replace(limits, redundancy=0)))
        if best is not None:
            yield relaxation(best, "constraints.redundancy", str(limits.redundancy), "0")


def _least_power(problem: Q, search: Search[Q], cap_w: float) -> Best | None:
    """The best place without the power cap; where devices have power modes, under the lowest one that will do."""

    def under(most_w: float | None) -> Best | None:
        return search(replace(problem, limits=replace(problem.limits, max_power_w=most_w)))

    best = under(None)
    if best is None or best.power_cap_w is None:
        return best
    each = {m.watts or o.hardware.tdp_w for o in problem.options for m in o.hardware.power_modes}
    caps = sorted(watts * best.devices for watts in each if watts is not None)
    lower = (under(cap) for cap in caps if cap_w < cap < best.power_cap_w)
    return next((found for found in lower if found is not None), best)


def _precision(problem: Q, search: Search[Q]) -> Relaxation | None:
    if problem.origins.get("constraints.precision") is not Origin.USER:
        return None
    limits = replace(problem.limits, precisions=tuple(Precision))
    best = search(replace(problem, limits=limits, origins={**problem.origins, "constraints.precision": Origin.DEFAULT}))
    if best is None:
        return None
    current = ", ".join(p.value for p in problem.limits.precisions)
    return relaxation(best, "constraints.precision", current, best.precision.value)


def _hardware(problem: Q, search: Search[Q], market: Market) -> Relaxation | None:
    allowed = {option.hardware.id for option in problem.options}
    others = tuple(option for option in market() if option.hardware.id not in allowed)
    best = search(replace(problem, options=problem.options + others)) if others else None
    if best is None:
        return None
    return relaxation(best, "constraints.hardware", ", ".join(sorted(allowed)), f"also {best.hardware_id}")


def _accuracy(problem: Q, search: Search[Q]) -> Relaxation | None:
    """The accuracy that the failing evidence shows, when that evidence is what stands in the way."""
    goal = problem.accuracy
    if goal is None or not problem.evidence:
        return None
    best = search(replace(problem, evidence=()))
    if best is None:
        return None
    shown = [e for e in problem.evidence if e.precision is best.precision and e.metric == goal.metric]
    if not shown:
        return None
    if goal.floor is not None and shown[0].value.low < goal.floor:
        return relaxation(best, "accuracy.floor", f"{goal.floor:g}", f"{shown[0].value.low:.4g}")
    if goal.max_drop is not None:
        return relaxation(best, "accuracy.max_drop", f"{goal.max_drop:.2%}", f"{shown[0].drop.high:.2%}")
    return None
