"""What a report shows beside the decisions of a spec: savings over the lock, policy, ladder, costs of constraints."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.report.review import Review

if TYPE_CHECKING:
    from infc.pipeline.locks import Locks
    from infc.pipeline.plan import PlannedSpec, PlannedTarget
    from infc.pipeline.policies import Policies
    from infc.plan.constraint_costs import ConstraintCost
    from infc.plan.ladder import Rung


def reviews(
    planned: "PlannedSpec", locks: "Locks", policies: "Policies", *, overlay: Path | None, has_ladder: bool
) -> Mapping[str | None, Review]:
    """The review of each decision, by target. The ladder and the costs of constraints take a second or so: if asked."""
    saved = locks.savings(planned, overlay)
    found: dict[str | None, Review] = {}
    for decided in planned.decisions:
        steps, costs = _explored(planned, decided, overlay) if has_ladder else (None, None)
        found[decided.target] = Review(
            savings=saved.get(decided.target),
            policy=policies.judge(planned.loaded, decided.problem, decided.decision),
            ladder=steps,
            constraint_costs=costs,
            runtimes=_runtimes(decided),
        )
    return found


def _runtimes(decided: "PlannedTarget") -> "tuple[Rung, ...]":
    """What the decision would need without TensorRT."""
    if not isinstance(decided.decision, Plan) or not isinstance(decided.problem, Problem):
        return ()
    from infc.plan.onnx_ladder import other_runtimes

    return other_runtimes(decided.problem, decided.decision)


def _explored(
    planned: "PlannedSpec", decided: "PlannedTarget", overlay: Path | None
) -> "tuple[tuple[Rung, ...] | None, tuple[ConstraintCost, ...] | None]":
    from infc.pipeline.plan import overlay_of
    from infc.plan import solve
    from infc.plan.constraint_costs import constraint_costs
    from infc.plan.ladder import ladder
    from infc.resolve.problem import market_options
    from infc.resolve.targets import load_catalogue

    spec = planned.loaded.spec
    if spec is None or not isinstance(decided.decision, Plan):
        return None, None
    catalogue = load_catalogue(overlay or overlay_of(planned.loaded.workspace))
    costs = constraint_costs(decided.problem, decided.decision, solve, lambda: market_options(spec, catalogue))
    return ladder(decided.problem, decided.decision), costs
