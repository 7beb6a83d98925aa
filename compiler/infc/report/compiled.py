"""What the reports of a compile are made of: one entry per bundle."""

from dataclasses import dataclass

from infc.ir.accuracy import AccuracyEvidence
from infc.ir.engine import Engine, LoweredModel, PendingEngine
from infc.ir.measurement import Measurement
from infc.ir.plan import Plan
from infc.ir.problem import Problem


@dataclass(frozen=True, kw_only=True)
class CompiledEntry:
    """One bundle on disk.

    `folder` is as the user named the output; `change` is added, changed, rebuilt or unchanged against the lock before.
    `measurement` is there when the bundle was validated.
    """

    path: str
    target: str | None
    folder: str
    change: str
    problem: Problem
    plan: Plan
    lowered: LoweredModel
    engine: Engine | PendingEngine
    evidence: AccuracyEvidence | None
    measurement: Measurement | None
