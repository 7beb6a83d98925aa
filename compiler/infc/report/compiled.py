"""What the reports of a compile are made of: one entry per bundle."""

from dataclasses import dataclass
from typing import Literal

from infc.ir.accuracy import AccuracyEvidence
from infc.ir.checkpoint import Checkpoint
from infc.ir.edge_release import EdgeRelease
from infc.ir.engine import AnyEngine, LoweredModel, PendingEngine
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem


@dataclass(frozen=True, kw_only=True)
class CompiledEntry:
    """One bundle on disk.

    `folder` is as the user named the output, `files` are what it holds; `change` is added, changed, rebuilt or
    unchanged against the lock before, None where nothing is compared. `lowered` is the model in the planned precision;
    `engine` is None for a language model, whose server loads the checkpoint itself. `measurement` is there when the
    bundle was validated, and `release` when edge devices install it.
    """

    path: str
    target: str | None
    folder: str
    change: str | None
    problem: AnyProblem
    plan: Plan
    lowered: LoweredModel | Checkpoint
    engine: AnyEngine | None
    evidence: AccuracyEvidence | None
    measurement: Measurement | LlmMeasurement | None
    files: tuple[str, ...] = ()
    release: EdgeRelease | None = None

    @property
    def pending(self) -> Literal["engine", "weights"] | None:
        """What the bundle still waits for; None when it is complete."""
        if isinstance(self.engine, PendingEngine):
            return "engine"
        if isinstance(self.lowered, Checkpoint) and self.lowered.is_pending:
            return "weights"
        return None


def archives_of(entry: CompiledEntry) -> tuple[str, ...]:
    """The files of a bundle that travel to edge devices: the release, and a delta where one was asked for."""
    found = [file for file in entry.files if file.endswith(".tar.zst")] if entry.release else []
    return tuple(sorted(found, key=lambda file: (".from-" in file, file)))
