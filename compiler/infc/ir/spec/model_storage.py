"""`deploy.kubernetes.model`: where pods find the model's files."""

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag

from infc.ir.spec.base import Name, SpecModel
from infc.ir.spec.model_source import tag_by

_COMPONENT = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
_REFERENCE = (
    r"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/)?"
    rf"{_COMPONENT}(/{_COMPONENT})*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
ImageName: TypeAlias = Annotated[str, Field(pattern=_REFERENCE, max_length=256)]
"""Registry with port, name, tag, digest. Source: the distribution project's reference grammar."""
STORAGE_KEYS = ("pvc", "oci", "s3")
_SEGMENT = r"\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]{0,126}"
"""A part of a path that leads nowhere else, as `.` and `..` do: an API server refuses them in a subPath."""
_PATH = rf"^{_SEGMENT}(/{_SEGMENT}){{0,7}}$"
_URI = rf"^s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/{_SEGMENT}){{0,7}}$"
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_ENDPOINT = rf"^https?://[A-Za-z0-9]([A-Za-z0-9.-]{{0,251}}[A-Za-z0-9])?:{_PORT}$"


class VolumeClaim(SpecModel):
    """A persistent volume claim that is mounted read-only."""

    claim: Name = Field(description="Name of the claim, in the namespace of the deployment.", examples=["models"])
    path: Annotated[str, Field(pattern=_PATH)] | None = Field(
        default=None,
        description="Folder of the volume that the bundle's model_repository/ (a language model: model/) was copied "
        "to. Default: the volume's root.",
        examples=["product-encoder/v2"],
    )


class ModelImage(SpecModel):
    """An image that holds the model's files in its folder /models; `infc image` writes one."""

    image: ImageName = Field(
        description="Registry, name and digest or tag. Without either, the tag is the release's digest.",
        examples=["registry.example.com/models/product-encoder"],
    )
    pull_secret: Name | None = Field(
        default=None, description="Secret that the registry asks for (kubernetes.io/dockerconfigjson)."
    )

    @property
    def is_complete(self) -> bool:
        """Whether the image has a digest or a tag; without either, the release's digest is the tag."""
        return "@" in self.image or ":" in self.image.rpartition("/")[2]


class Bucket(SpecModel):
    """A folder of a bucket, fetched by every pod when it starts."""

    uri: Annotated[str, Field(pattern=_URI)] = Field(
        description="Where the bundle's model_repository/ (a language model: model/) was copied to.",
        examples=["s3://acme-models/product-encoder"],
    )
    endpoint: Annotated[str, Field(pattern=_ENDPOINT)] | None = Field(
        default=None,
        description="Address with port of a store that is not Amazon's. Default: Amazon's.",
        examples=["https://minio.storage.svc:9000"],
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = Field(
        default=None, description="The bucket's region. Default: what the cluster's identity says."
    )
    secret: Name | None = Field(
        default=None,
        description="Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Default: the role of the "
        "service account.",
    )


class PvcStorage(SpecModel):
    """The model on a volume."""

    pvc: VolumeClaim = Field(description="A persistent volume claim, mounted read-only.")


class OciStorage(SpecModel):
    """The model in an image."""

    oci: ModelImage = Field(description="An image of a registry that holds the model's files.")


class S3Storage(SpecModel):
    """The model in a bucket."""

    s3: Bucket = Field(description="A folder of a bucket.")


ModelStorage: TypeAlias = Annotated[
    Annotated[PvcStorage, Tag("<pvc>")] | Annotated[OciStorage, Tag("<oci>")] | Annotated[S3Storage, Tag("<s3>")],
    Discriminator(tag_by(STORAGE_KEYS), custom_error_type="spec-model-storage", custom_error_message="model storage"),
]
"""`{pvc: ...}`, `{oci: ...}` or `{s3: ...}`."""
