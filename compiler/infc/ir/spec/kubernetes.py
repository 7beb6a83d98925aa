"""`deploy.kubernetes`: the objects that are emitted beside the bundle."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from infc.ir.spec.autoscale import Autoscale
from infc.ir.spec.base import Name, SpecModel
from infc.ir.spec.model_storage import ImageName, ModelStorage, PvcStorage, VolumeClaim

_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
_CLASS = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_Labels: TypeAlias = dict[Annotated[str, Field(pattern=_LABEL_KEY)], Annotated[str, Field(pattern=_LABEL_VALUE)]]


class Kubernetes(SpecModel):
    """Manifests beside the model repository."""

    namespace: Name = Field(default="default", description="Namespace of every object. Default: default.")
    flavor: Literal["deployment", "kserve"] = Field(
        default="deployment",
        description="A plain Deployment with a Service, or a KServe InferenceService (LLMInferenceService).",
    )
    cluster_version: Annotated[str, Field(pattern=r"^1\.[0-9]{2}$")] | None = Field(
        default=None,
        description="Oldest Kubernetes of the clusters, as text: before 1.35 a model in an image is copied by an init "
        "container, which the image must have `cp` for. Default: 1.35 or later.",
        examples=["1.33"],
    )
    image: ImageName | None = Field(
        default=None, description="Server image, best by digest. Default: the pinned one of the server's version."
    )
    pull_secret: Name | None = Field(default=None, description="Secret that the registry of `image` asks for.")
    node_selector: _Labels = Field(default_factory=dict, description="Extra node labels that pods are pinned to.")
    labels: _Labels = Field(default_factory=dict, description="Extra labels of every object.")
    service_account: Name | None = Field(default=None, description="Service account of the pods.")
    priority_class: Annotated[str, Field(pattern=_CLASS)] | None = Field(
        default=None, description="Priority class of the pods."
    )
    model: ModelStorage | None = Field(
        default=None,
        description="Where pods find the model's files. Default: of a language model of the hub the hub, else the "
        "claim <name>-model.",
    )
    model_volume: Name | None = Field(default=None, description="Short for `model: {pvc: {claim: NAME}}`.")
    autoscale: Autoscale | None = Field(default=None, description="Emit an autoscaler within these bounds.")
    monitoring: bool = Field(default=True, description="Emit SLO burn-rate alerts and a dashboard. Default: true.")

    @property
    def storage(self) -> ModelStorage | None:
        """Where pods find the model's files, whichever way the spec says it."""
        if self.model_volume is not None:
            return PvcStorage(pvc=VolumeClaim(claim=self.model_volume))
        return self.model
