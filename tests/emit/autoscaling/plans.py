"""A real plan whose traffic runs a course over the day, on several replicas."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from infc.emit.kubernetes.objects import Identity
from infc.emit.kubernetes.served import Goal, Served
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.pipeline.plan import plan_spec
from infc.plan.solve import solve

SPEC = Path(__file__).parents[3] / "specs" / "fashion-mnist" / "fashion-mnist.infc.yaml"
HOURLY = (
    0.2, 0.15, 0.12, 0.12, 0.15, 0.25, 0.5, 0.9, 1.3, 1.6, 1.7, 1.7,
    1.6, 1.6, 1.7, 1.7, 1.6, 1.5, 1.4, 1.3, 1.1, 0.8, 0.5, 0.3,
)  # fmt: skip


@cache
def planned() -> tuple[Problem, Plan]:
    """A classifier for a whole day: 30,000 requests a second in the mean."""
    problem = plan_spec(SPEC).decisions[0].problem
    assert isinstance(problem, Problem)
    traffic = replace(problem.traffic, rate_rps=30_000.0, peak_rps=51_000.0, hourly=HOURLY)
    limits = replace(problem.limits, max_accelerators=None, max_usd_per_hour=None, redundancy=1)
    asked = replace(problem, traffic=traffic, limits=limits)
    plan = solve(asked)
    assert isinstance(plan, Plan)
    return asked, plan


def served(problem: Problem, plan: Plan) -> Served:
    """What the emitter says of the plan."""
    return Served(
        identity=Identity(name=plan.name, namespace="ml", component="triton", labels={}),
        server="triton",
        model=plan.name,
        goals=tuple(
            Goal(metric="latency", label=t.label, percentile=t.percentile, limit_s=t.limit_s, predicted_s=None)
            for t in problem.latency
        ),
        availability=problem.availability,
        replicas=plan.candidate.replicas,
        instances_per_replica=plan.candidate.instances_per_gpu,
        peak_rps=problem.traffic.peak_rps,
        metrics_port="metrics",
        shadow_outputs={},
        start_s=90.0,
    )
