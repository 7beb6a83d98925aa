"""`deploy.kubernetes`: the objects that are emitted beside the bundle."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from infc.ir.spec.autoscale import Autoscale
from infc.ir.spec.base import Name, SpecModel

_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
_Labels: TypeAlias = dict[Annotated[str, Field(pattern=_LABEL_KEY)], Annotated[str, Field(pattern=_LABEL_VALUE)]]
_IMAGE = r"^[a-z0-9]([a-z0-9._:/@-]{0,254}[a-z0-9])?$"


class Kubernetes(SpecModel):
    """Manifests beside the model repository."""

    namespace: Name = Field(default="default", description="Namespace of every object. Default: default.")
    flavor: Literal["deployment", "kserve"] = Field(
        default="deployment", description="A plain Deployment with a Service, or a KServe InferenceService."
    )
    image: Annotated[str, Field(pattern=_IMAGE)] | None = Field(
        default=None, description="Server image. Default: the pinned one of the server's version."
    )
    node_selector: _Labels = Field(default_factory=dict, description="Extra node labels that pods are pinned to.")
    labels: _Labels = Field(default_factory=dict, description="Extra labels of every object.")
    service_account: Name | None = Field(default=None, description="Service account of the pods.")
    model_volume: Name | None = Field(
        default=None, description="Persistent volume claim that holds the model repository."
    )
    autoscale: Autoscale | None = Field(default=None, description="Emit an autoscaler within these bounds.")
    monitoring: bool = Field(default=True, description="Emit SLO burn-rate alerts and a dashboard. Default: true.")
