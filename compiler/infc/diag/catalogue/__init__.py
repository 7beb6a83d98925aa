"""Every diagnostic id that infc can print: one file per area, one literal tuple per file."""

from infc.diag.catalogue.accuracy import ACCURACY
from infc.diag.catalogue.build import BUILD
from infc.diag.catalogue.checkpoint import CHECKPOINT
from infc.diag.catalogue.drift import DRIFT
from infc.diag.catalogue.edge import EDGE
from infc.diag.catalogue.edge_device import EDGE_DEVICE
from infc.diag.catalogue.fleet import FLEET
from infc.diag.catalogue.gitops import GITOPS
from infc.diag.catalogue.imports import IMPORTS
from infc.diag.catalogue.jobs import JOBS
from infc.diag.catalogue.kubernetes import KUBERNETES
from infc.diag.catalogue.lock import LOCK
from infc.diag.catalogue.model import MODEL
from infc.diag.catalogue.plan import PLAN
from infc.diag.catalogue.shadow import SHADOW
from infc.diag.catalogue.spec import SPEC
from infc.diag.catalogue.targets import TARGETS
from infc.diag.catalogue.validate import VALIDATE
from infc.diag.catalogue.vllm import VLLM
from infc.diag.kind import DiagnosticKind

CATALOGUE: tuple[DiagnosticKind, ...] = (
    *SPEC,
    *MODEL,
    *TARGETS,
    *PLAN,
    *SHADOW,
    *ACCURACY,
    *CHECKPOINT,
    *BUILD,
    *JOBS,
    *FLEET,
    *LOCK,
    *VALIDATE,
    *VLLM,
    *KUBERNETES,
    *DRIFT,
    *EDGE,
    *EDGE_DEVICE,
    *IMPORTS,
    *GITOPS,
)


def find_kind(id: str) -> DiagnosticKind | None:
    """The kind of that id."""
    return next((kind for kind in CATALOGUE if kind.id == id), None)


__all__ = ["CATALOGUE", "DiagnosticKind", "find_kind"]
