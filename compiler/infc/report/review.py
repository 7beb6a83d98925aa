"""What a report says beside a decision: the lock before it, the team's policy, and what its parts buy and cost."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # most plans have none of these
    from infc.ir.policy import PolicyFinding
    from infc.plan.constraint_costs import ConstraintCost
    from infc.plan.ladder import Rung
    from infc.plan.savings import Savings


@dataclass(frozen=True, kw_only=True)
class Review:
    """`savings` over the lock (None: nothing is locked, or nothing changed), `policy` thresholds that are not kept.

    `ladder` and `constraint_costs` are None where they were not asked for. `runtimes` are what the plan would need
    without TensorRT, empty where it does not run it.
    """

    savings: "Savings | None" = None
    policy: "tuple[PolicyFinding, ...]" = ()
    ladder: "tuple[Rung, ...] | None" = None
    constraint_costs: "tuple[ConstraintCost, ...] | None" = None
    runtimes: "tuple[Rung, ...]" = ()


NOTHING = Review()
