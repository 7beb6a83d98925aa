"""The frontier: what every allowed device and precision costs and how fast it is, beyond the one that was chosen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from infc.ir.candidate import Candidate
from infc.ir.estimate import Estimate
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import AnyProblem, LatencyTarget, Limits, Problem
from infc.ir.quantity import HOURS_PER_MONTH

_ROUNDING = 1 + 1e-9
MORE = (1.0, 1.34, 2.0)
"""Replicas beside the fewest that hold the SLO, as factors: what more money would buy."""


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """One way to deploy: its replicas (redundant ones included), its cost, and the judged percentile at the peak.

    `broken` names the constraints that it breaks. `is_efficient`: it breaks none, and none that breaks none is both
    cheaper and faster. `is_runner_up`: the plan names it as a feasible one that lost on the objective.
    """

    candidate: str
    hardware_id: str
    precision: Precision
    tensor_parallel: int
    replicas: int
    usd_per_month: float | None
    judged_s: float
    broken: tuple[str, ...]
    is_chosen: bool = False
    is_efficient: bool = False
    is_runner_up: bool = False
    pipeline_parallel: int = 1


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The target that the frontier compares: its metric and its percentile with the limit."""

    metric: Literal["latency", "ttft", "tpot", "e2e"]
    target: LatencyTarget

    @property
    def label(self) -> str:
        """`p99`, `ttft p99`."""
        return self.target.label if self.metric == "latency" else f"{self.metric} {self.target.label}"


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """All points. `judged` names the percentile that `limit_s` bounds; `max_usd_per_month` is the spec's cost limit."""

    judged: str
    limit_s: float
    max_usd_per_month: float | None
    points: tuple[FrontierPoint, ...]


def frontiers(problem: AnyProblem, plan: Plan | None) -> tuple[Frontier, ...]:
    """Sizes every allowed device and precision on short simulations, for each judged percentile.

    That is the highest percentile of each metric that the spec limits; the one that the plan uses up most comes first.
    The plan and its runners-up stand in for their own points. Takes a second or so for a whole catalogue: for reports,
    not for plans.
    """
    maximum = problem.limits.max_usd_per_hour
    return tuple(
        Frontier(
            judged=judged.label,
            limit_s=judged.target.limit_s,
            max_usd_per_month=None if maximum is None else maximum * HOURS_PER_MONTH,
            points=with_efficient(_with_plan(found, plan, judged)),
        )
        for judged, found in _sized(problem, plan)
    )


def _sized(problem: AnyProblem, plan: Plan | None) -> list[tuple[Judged, list[FrontierPoint]]]:
    """The judged targets with every point that simulation shows, by the kind of model."""
    if isinstance(problem, Problem):
        from infc.plan import onnx_frontier

        judged = onnx_frontier.judged_target(problem)
        return [(judged, list(onnx_frontier.points(problem, judged)))]
    from infc.plan.llm import frontier as llm_frontier

    targets = llm_frontier.judged_targets(problem, plan)
    rows = list(llm_frontier.points(problem, targets))
    return [(judged, [row[index] for row in rows]) for index, judged in enumerate(targets)]


def _with_plan(found: Sequence[FrontierPoint], plan: Plan | None, judged: Judged) -> list[FrontierPoint]:
    """The points, with those of the plan and its runners-up in place of what a short simulation says of them."""
    if plan is None:
        return list(found)
    own = [replace(_point_of(plan.candidate, plan.estimate, judged), is_chosen=True)]
    own += [replace(_point_of(r.candidate, r.estimate, judged), is_runner_up=True) for r in plan.runners_up]
    taken = {_identity(point) for point in own}
    return [point for point in found if _identity(point) not in taken] + own


def broken_limits(limits: Limits, devices: int, usd_per_hour: float | None, cap_w: float | None) -> tuple[str, ...]:
    """The limits that so many devices of a deployment break: their count, their cost, their power at full draw."""
    broken: list[str] = []
    if limits.max_accelerators is not None and devices > limits.max_accelerators:
        broken.append("max_accelerators")
    if limits.max_usd_per_hour is not None and (usd_per_hour or 0.0) > limits.max_usd_per_hour * _ROUNDING:
        broken.append("max_cost")
    if limits.max_power_w is not None and cap_w is not None and devices * cap_w > limits.max_power_w * _ROUNDING:
        broken.append("max_power")
    return tuple(broken)


def with_efficient(points: Sequence[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    """Marks the points that no other beats on both cost and latency; points without a price are never efficient."""
    ranked = sorted((p for p in points if not p.broken and p.usd_per_month is not None), key=_cost_then_latency)
    efficient: set[int] = set()
    fastest = math.inf
    for point in ranked:
        if point.judged_s < fastest:
            fastest = point.judged_s
            efficient.add(id(point))
    return tuple(replace(point, is_efficient=id(point) in efficient) for point in points)


def _point_of(candidate: Candidate, estimate: Estimate, judged: Judged) -> FrontierPoint:
    return FrontierPoint(
        candidate=candidate.label,
        hardware_id=candidate.hardware_id,
        precision=candidate.precision,
        tensor_parallel=candidate.tensor_parallel,
        pipeline_parallel=candidate.pipeline_parallel,
        replicas=candidate.replicas,
        usd_per_month=None if estimate.cost is None else estimate.cost.usd_per_month,
        judged_s=latency_s(estimate, judged).value,
        broken=(),
    )


def latency_s(estimate: Estimate, judged: Judged) -> Interval:
    """The judged percentile of an estimate."""
    tokens = estimate.tokens
    match judged.metric:
        case "ttft" if tokens is not None:
            return tokens.ttft_s[judged.target.label]
        case "tpot" if tokens is not None:
            return tokens.tpot_s[judged.target.label]
        case _:
            return estimate.e2e_s[judged.target.label]


def _cost_then_latency(point: FrontierPoint) -> tuple[float, float]:
    return (point.usd_per_month or 0.0, point.judged_s)


def _identity(point: FrontierPoint) -> tuple[str, str, int, int, int]:
    return (
        point.hardware_id,
        point.precision.value,
        point.tensor_parallel,
        point.pipeline_parallel,
        point.replicas,
    )
