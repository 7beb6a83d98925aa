"""What the workflow files of a repository differ in."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Runner: TypeAlias = Literal["gpu", "remote", "none"]
PYTHON = "3.12"
IMAGE = f"python:{PYTHON}"
PLAN_ARTIFACT = "infc-plan"
BUNDLES_ARTIFACT = "infc-bundles"


@dataclass(frozen=True, kw_only=True)
class CiOptions:
    """`specs`: the file or folder that is planned. `requirement`: what pip installs, infc with its extras.

    `branch`: where bundles are compiled. `builder`: of `remote` runners, empty: the variable INFC_BUILDER of the
    repository. `rendered`: the branch that takes the Kubernetes manifests of the bundles, None: none does.
    """

    specs: str
    requirement: str
    branch: str
    runner: Runner
    builder: str
    marker: str
    rendered: str | None
