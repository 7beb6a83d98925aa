"""What the plan reports are made of: one entry per decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from infc.diag import Diagnostic
from infc.ir.plan import Decision
from infc.ir.problem import AnyProblem
from infc.report.review import NOTHING, Review


@dataclass(frozen=True, kw_only=True)
class PlannedEntry:
    """One decision, or a spec that has none (`decision` None: it is invalid or cannot be planned).

    `target` is the hardware id of a `deploy.targets` entry, None for the free choice. `changes` are what differs from
    the lock, as rows of text. `diagnostics` stand with the first entry of a spec only. `review` is what is said beside
    the decision.
    """

    name: str
    path: str
    target: str | None
    status: Literal["feasible", "infeasible", "invalid"]
    problem: AnyProblem | None
    decision: Decision | None
    changes: tuple[Mapping[str, str], ...]
    diagnostics: tuple[Diagnostic, ...]
    review: Review = NOTHING
