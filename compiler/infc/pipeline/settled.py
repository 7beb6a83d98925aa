"""What settling a decision comes to: an accepted engine or checkpoint, or why there is none."""

from dataclasses import dataclass
from typing import TypeAlias

from infc.diag import Diagnostic
from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.checkpoint import Checkpoint
from infc.ir.engine import AnyEngine, LoweredModel
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import AnyProblem, LlmProblem, Problem


@dataclass(frozen=True, kw_only=True)
class SettledOnnx:
    """A plan whose precision was lowered, built and held against the accuracy goal (`evidence` is None without one).

    The engine of a Jetson module is not built here but on the devices: what was tested is the lowered model.
    """

    problem: Problem
    plan: Plan
    lowered: LoweredModel
    engine: AnyEngine
    evidence: AccuracyEvidence | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class SettledLlm:
    """A plan of a language model with the checkpoint that its server loads.

    `evidence` is None without an accuracy goal, and where the checkpoint is served as it is: that is the reference.
    """

    problem: LlmProblem
    plan: Plan
    checkpoint: Checkpoint
    evidence: AccuracyEvidence | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class Unsettled:
    """Why there is nothing to emit: the plan became infeasible, the evidence is inconclusive, a stage has errors."""

    problem: AnyProblem
    decision: Plan | Infeasible
    verdict: Verdict | None
    diagnostics: tuple[Diagnostic, ...]


Settled: TypeAlias = SettledOnnx | SettledLlm
