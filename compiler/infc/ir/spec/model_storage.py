"""`deploy.kubernetes.model`: where pods find the model's files."""

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag

from infc.ir.spec.base import Name, SpecModel
from infc.ir.spec.model_source import tag_by

IMAGE_PATTERN = r"^[a-z0-9]([a-zA-Z0-9._:/@-]{0,254}[a-zA-Z0-9])?$"
STORAGE_KEYS = ("pvc", "oci", "s3")
_PATH = r"^[A-Za-z0-9._-]{1,128}(/[A-Za-z0-9._-]{1,128}){0,7}$"
_URI = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]{1,128}){0,7}$"
_ENDPOINT = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?:[0-9]{1,5}$"


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

    image: Annotated[str, Field(pattern=IMAGE_PATTERN)] = Field(
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
