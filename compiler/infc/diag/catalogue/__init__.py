"""Every diagnostic id that infc can print: one file per area, one literal tuple per file."""

from infc.diag.area import Area
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

AREAS: tuple[Area, ...] = (
    Area(title="Specs", commands=("check", "plan", "compile", "lock"), kinds=SPEC),
    Area(title="Models and their configurations", commands=("plan", "compile", "predict", "calibrate"), kinds=MODEL),
    Area(title="Hardware and prices", commands=("targets", "check", "plan"), kinds=TARGETS),
    Area(title="Planning and predicting", commands=("plan", "compile", "predict"), kinds=PLAN),
    Area(title="Quality shadow", commands=("compile",), kinds=SHADOW),
    Area(title="Accuracy and its data", commands=("compile",), kinds=ACCURACY),
    Area(title="Checkpoints of language models", commands=("compile",), kinds=CHECKPOINT),
    Area(title="Building engines and bundles", commands=("compile", "worker"), kinds=BUILD),
    Area(title="Builds elsewhere", commands=("compile", "worker"), kinds=JOBS),
    Area(title="Several builders", commands=("compile",), kinds=FLEET),
    Area(title="The lock", commands=("lock", "plan", "compile", "diff"), kinds=LOCK),
    Area(title="Measuring", commands=("validate", "calibrate"), kinds=VALIDATE),
    Area(title="vLLM", commands=("check", "compile"), kinds=VLLM),
    Area(title="Kubernetes", commands=("compile",), kinds=KUBERNETES),
    Area(title="Drift", commands=("drift",), kinds=DRIFT),
    Area(title="Bundles for edge devices", commands=("compile", "verify", "validate"), kinds=EDGE),
    Area(title="Edge devices", commands=("validate", "drift"), kinds=EDGE_DEVICE),
    Area(title="Results of other tools", commands=("validate",), kinds=IMPORTS),
    Area(title="Reviews of changes", commands=("plan", "compile", "report"), kinds=GITOPS),
)
"""In the order in which a deployment meets them."""

CATALOGUE: tuple[DiagnosticKind, ...] = tuple(kind for area in AREAS for kind in area.kinds)


def area_of(kind: DiagnosticKind) -> Area:
    """The area that the kind belongs to."""
    return next(area for area in AREAS if kind in area.kinds)


def find_kind(id: str) -> DiagnosticKind | None:
    """The kind of that id."""
    return next((kind for kind in CATALOGUE if kind.id == id), None)


__all__ = ["AREAS", "CATALOGUE", "Area", "DiagnosticKind", "area_of", "find_kind"]
