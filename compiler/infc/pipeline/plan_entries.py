"""The decisions of a spec as the entries of a report."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infc.ir.plan import Plan
from infc.report.planned import PlannedEntry

if TYPE_CHECKING:
    from infc.pipeline.locks import Locks
    from infc.pipeline.plan import PlannedSpec
    from infc.report.review import Review


def plan_entries(planned: "PlannedSpec", locks: "Locks", review: "Mapping[str | None, Review]") -> list[PlannedEntry]:
    """One entry for each decision, or one that says that there is none."""
    name, path = planned.loaded.name, planned.loaded.path.as_posix()
    if not planned.decisions:
        return [
            PlannedEntry(
                name=name,
                path=path,
                target=None,
                status="invalid",
                problem=None,
                decision=None,
                changes=(),
                diagnostics=planned.diagnostics,
            )
        ]
    changes = locks.changes(planned)
    return [
        PlannedEntry(
            name=name,
            path=path,
            target=decided.target,
            status="feasible" if isinstance(decided.decision, Plan) else "infeasible",
            problem=decided.problem,
            decision=decided.decision,
            changes=changes.get(decided.target, ()),
            diagnostics=planned.diagnostics if index == 0 else (),
            review=review[decided.target],
        )
        for index, decided in enumerate(planned.decisions)
    ]
