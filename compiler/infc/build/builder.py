"""What every builder is: a place where engines of some kinds can be built for some devices.

The local process, a machine behind SSH, a Kubernetes cluster and a Ray cluster are builders. They all take the same job
and give the same attestation; only how the job travels differs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from infc.diag import Diagnostic
from infc.ir.engine_kind import EngineKind
from infc.ir.job import Attestation, BuildJob

Report: TypeAlias = Callable[[str], None]
"""Gets one line of progress in words."""


@dataclass(frozen=True, kw_only=True)
class BuildTarget:
    """What an engine is for: its kind, the device's catalogue id, and its compute capability (None: a CPU)."""

    kind: EngineKind
    hardware_id: str
    compute_capability: str | None


class Builder(Protocol):
    """One place where engines are built. Methods may block; several threads may call them at once."""

    @property
    def name(self) -> str:
        """How the user named it: `local`, `ssh://user@host`, `k8s://context/namespace`, `ray://address`."""

    @property
    def slots(self) -> int:
        """How many builds may run here at once."""

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """None when this builder can make such an engine, else why not and what would help."""

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """Packages and exact versions that it builds such an engine with; they enter the engine key.

        Raises ToolError when it cannot be reached or lacks them.
        """

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Run a job to its end.

        `folder` holds `job.json` and the model; `out` is an empty folder that gets the engine file (under the name in
        the attestation) and `attestation.json`. A builder that already has the result of this key brings it without
        building. A Diagnostic says that the builder itself failed (unreachable, timed out, crashed): that may be tried
        again; a refusal of the library is an attestation.
        """

    def close(self) -> None:
        """End every build that runs here: their calls, in other threads, return a Diagnostic soon.

        Called last; when infc is interrupted, twice.
        """
