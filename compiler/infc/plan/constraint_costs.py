"""What each constraint of the spec costs: the plan without it, one at a time.

The cheaper alternative to an over-provisioned plan is always behind a constraint, for the plan is the best that they
allow. Made on demand only: each constraint is one more search.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from infc.ir.candidate import Candidate
from infc.ir.plan import Decision, Plan
from infc.ir.precision import Precision
from infc.ir.problem import AnyProblem, HardwareOption, LatencyTarget, LlmProblem, Origin

Market: TypeAlias = Callable[[], tuple[HardwareOption, ...]]
"""Devices that `constraints.hardware` rules out."""
Solve: TypeAlias = Callable[[AnyProblem], Decision]

LOOSER = 2.0
"""How much looser an SLO is made to see what it costs."""
_WORTH_SAYING = 0.005
"""A saving below this share of the cost is none."""


@dataclass(frozen=True, kw_only=True)
class ConstraintCost:
    """What one constraint costs a month, and the plan without it. `path` is its place in the spec."""

    path: str
    current: str
    without: str
    candidate: Candidate
    usd_per_month: float
    utilization: float


def constraint_costs(problem: AnyProblem, plan: Plan, solve: Solve, market: Market) -> tuple[ConstraintCost, ...]:
    """The constraints that cost money, dearest first; empty where no price is known.

    `solve` decides a changed problem as the plan was decided.
    """
    cost = plan.estimate.cost
    if cost is None:
        return ()
    found = []
    for path, current, without, changed in _changes(problem, market):
        decision = solve(changed)
        if not isinstance(decision, Plan) or decision.estimate.cost is None:
            continue
        saved = cost.usd_per_month - decision.estimate.cost.usd_per_month
        if saved > _WORTH_SAYING * cost.usd_per_month:
            found.append(
                ConstraintCost(
                    path=path,
                    current=current,
                    without=without,
                    candidate=decision.candidate,
                    usd_per_month=saved,
                    utilization=decision.estimate.utilization,
                )
            )
    return tuple(sorted(found, key=lambda c: (-c.usd_per_month, c.path)))


def _changes(problem: AnyProblem, market: Market) -> Iterator[tuple[str, str, str, AnyProblem]]:
    """(path, what it says, what is tried instead, the problem without it) of every constraint that is set."""
    limits = problem.limits
    if limits.redundancy:
        without = replace(limits, redundancy=0)
        yield "constraints.redundancy", str(limits.redundancy), "0", replace(problem, limits=without)
    if limits.surge:
        yield "deploy.rollout", f"max_surge {limits.surge}", "0", replace(problem, limits=replace(limits, surge=0))
    if limits.max_accelerators is not None:
        without = replace(limits, max_accelerators=None)
        current = str(limits.max_accelerators)
        yield "constraints.max_accelerators", current, "no limit", replace(problem, limits=without)
    if limits.max_power_w is not None:
        current, without = f"{limits.max_power_w:g}W", replace(limits, max_power_w=None)
        yield "constraints.max_power", current, "no limit", replace(problem, limits=without)
    if problem.objective != "cost":
        yield "objective", problem.objective, "cost", replace(problem, objective="cost")
    if problem.origins.get("constraints.precision") is Origin.USER:
        current = ", ".join(p.value for p in limits.precisions)
        origins = {**problem.origins, "constraints.precision": Origin.DEFAULT}
        free = replace(problem, limits=replace(limits, precisions=tuple(Precision)), origins=origins)
        yield "constraints.precision", current, "any", free
    yield from _hardware(problem, market)
    yield from _slo(problem)


def _hardware(problem: AnyProblem, market: Market) -> Iterator[tuple[str, str, str, AnyProblem]]:
    if problem.origins.get("constraints.hardware") is not Origin.USER:
        return
    allowed = {option.hardware.id for option in problem.options}
    others = tuple(option for option in market() if option.hardware.id not in allowed)
    if others:
        every = replace(problem, options=problem.options + others)
        yield "constraints.hardware", ", ".join(sorted(allowed)), "the whole catalogue", every


def _slo(problem: AnyProblem) -> Iterator[tuple[str, str, str, AnyProblem]]:
    words = f"{LOOSER:g} times as long"
    if isinstance(problem, LlmProblem):
        changed = replace(problem, ttft=_looser(problem.ttft), tpot=_looser(problem.tpot), e2e=_looser(problem.e2e))
        yield "slo", "its targets", words, changed
    else:
        yield "slo.latency", "its targets", words, replace(problem, latency=_looser(problem.latency))


def _looser(targets: tuple[LatencyTarget, ...]) -> tuple[LatencyTarget, ...]:
    return tuple(replace(target, limit_s=target.limit_s * LOOSER) for target in targets)
