"""Where a pod finds the model's files: what each kind of storage adds to it."""

import math
from dataclasses import dataclass
from typing import assert_never

from infc.emit.kubernetes.objects import Manifest
from infc.emit.yaml_text import YamlValue
from infc.ir.spec.kubernetes import Kubernetes
from infc.ir.spec.model_storage import Bucket, ModelImage, ModelStorage, OciStorage, PvcStorage, S3Storage, VolumeClaim

VOLUME = "model"
IMAGE_FOLDER = "models"
"""Folder of a model image that holds the files, as KServe's modelcars have it."""
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_HTTPS = 443
_ROLE_PORTS = (_HTTPS, 80)
_FIRST_WITH_IMAGE_VOLUMES = (1, 35)
"""Source: Kubernetes' feature gates: ImageVolume is beta from 1.33 and on by default from 1.35."""
_S3_IMAGE = "public.ecr.aws/aws-cli/aws-cli:2.17.0"
"""Amazon's command line, which copies a bucket's folder into a pod.

Source: AWS CLI user guide, "Running the official Amazon ECR Public or Docker images for the AWS CLI": this repository,
with one tag for each version; this one is in public manifests. Not pulled: no registry was at hand.
"""
_COPY = "/copy"
"""Where an init container has the scratch volume: a path that hides nothing of its image."""
_S3_HOME = "/tmp"  # noqa: S108 - of a container
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """What a kind of storage adds to a pod.

    `path` is the folder that the server reads, or the address that it fetches from. `egress` are the TCP ports that the
    pod must reach. `provided` says what the user has to put where.
    """

    path: str
    volumes: tuple[Manifest, ...] = ()
    mounts: tuple[Manifest, ...] = ()
    init_containers: tuple[Manifest, ...] = ()
    environment: tuple[YamlValue, ...] = ()
    egress: tuple[int, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    provided: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelNeeds:
    """What a pod needs of a storage.

    `mount` is the folder that the files appear in, `folder` what the bundle calls them, `release` the digest of what is
    served, `model_bytes` their size. `reads_s3`: the server fetches from buckets itself.
    """

    mount: str
    folder: str
    release: str
    model_bytes: float
    reads_s3: bool = False


def model_files(storage: ModelStorage, needs: ModelNeeds, options: Kubernetes) -> ModelFiles:
    """What `storage` adds to a pod."""
    match storage:
        case PvcStorage(pvc=claim):
            return _from_claim(claim, needs)
        case OciStorage(oci=image):
            return _from_image(image, needs, options)
        case S3Storage(s3=bucket):
            return _from_bucket(bucket, needs)
        case _:
            assert_never(storage)


def model_image(image: ModelImage, release: str) -> str:
    """The image's full name; without a tag and a digest, the release is the tag.

    >>> model_image(ModelImage(image="registry.example.com:5000/models/encoder"), "sha256:0123456789abcdef")
    'registry.example.com:5000/models/encoder:0123456789ab'
    """
    return image.image if image.is_complete else f"{image.image}:{release_tag(release)}"


def storage_uri(storage: ModelStorage, release: str) -> str:
    """The place as KServe writes it: `pvc://claim/path`, `oci://image`, `s3://bucket/path`."""
    match storage:
        case PvcStorage(pvc=claim):
            return f"pvc://{claim.claim}" + (f"/{claim.path}" if claim.path is not None else "")
        case OciStorage(oci=image):
            return f"oci://{model_image(image, release)}"
        case S3Storage(s3=bucket):
            return bucket.uri
        case _:
            assert_never(storage)


def release_tag(release: str) -> str:
    """A release's digest, short enough for a tag."""
    return release.removeprefix("sha256:")[:12]


def has_image_volumes(options: Kubernetes) -> bool:
    """Whether the cluster's version mounts images as volumes."""
    if options.cluster_version is None:
        return True
    major, _, minor = options.cluster_version.partition(".")
    return (int(major), int(minor)) >= _FIRST_WITH_IMAGE_VOLUMES


def _from_claim(claim: VolumeClaim, needs: ModelNeeds) -> ModelFiles:
    mount: Manifest = {"name": VOLUME, "mountPath": needs.mount, "readOnly": True}
    if claim.path is not None:
        mount["subPath"] = claim.path
    where = f"in the folder {claim.path} of" if claim.path is not None else "at the root of"
    return ModelFiles(
        path=needs.mount,
        volumes=({"name": VOLUME, "persistentVolumeClaim": {"claimName": claim.claim, "readOnly": True}},),
        mounts=(mount,),
        provided=f"the claim {claim.claim} (ReadOnlyMany where replicas share no node), with the content of "
        f"{needs.folder}/ {where} its volume",
    )


def _from_image(image: ModelImage, needs: ModelNeeds, options: Kubernetes) -> ModelFiles:
    name = model_image(image, needs.release)
    secrets = (image.pull_secret,) if image.pull_secret is not None else ()
    provided = f"the image {name}, with the content of {needs.folder}/ in its folder /{IMAGE_FOLDER}"
    if has_image_volumes(options):
        volume: Manifest = {"name": VOLUME, "image": {"reference": name, "pullPolicy": "IfNotPresent"}}
        return ModelFiles(
            path=f"{needs.mount}/{IMAGE_FOLDER}",
            volumes=(volume,),
            mounts=({"name": VOLUME, "mountPath": needs.mount, "readOnly": True},),
            pull_secrets=secrets,
            provided=provided,
        )
    copy: Manifest = {
        "name": "model",
        "image": name,
        "command": ["cp", "-R", f"/{IMAGE_FOLDER}/.", _COPY],
    }
    return ModelFiles(
        path=needs.mount,
        volumes=(_scratch(needs),),
        mounts=({"name": VOLUME, "mountPath": needs.mount, "readOnly": True},),
        init_containers=(_copier(copy),),
        pull_secrets=secrets,
        provided=f"{provided}, and `cp` in it",
    )


def _from_bucket(bucket: Bucket, needs: ModelNeeds) -> ModelFiles:
    environment = tuple(_credentials(bucket))
    provided = f"the content of {needs.folder}/ at {bucket.uri}"
    if bucket.secret is not None:
        provided += f", and the Secret {bucket.secret} with the keys {' and '.join(S3_KEYS)}"
    # Without keys the pod asks for a role: of its token at STS, or of an agent on its node at port 80.
    egress = (_port(bucket.endpoint),) if bucket.secret is not None else (_port(bucket.endpoint), *_ROLE_PORTS)
    if needs.reads_s3:
        path = bucket.uri
        if bucket.endpoint is not None:  # Triton: s3://https://host:port/bucket/folder
            path = f"s3://{bucket.endpoint}/{bucket.uri.removeprefix('s3://')}"
        return ModelFiles(path=path, environment=environment, egress=egress, provided=provided)
    copy: Manifest = {
        "name": "model",
        "image": _S3_IMAGE,
        "command": ["aws"],
        "args": [
            *([f"--endpoint-url={bucket.endpoint}"] if bucket.endpoint is not None else []),
            *["s3", "sync", "--no-progress", "--exact-timestamps", bucket.uri, _COPY],
        ],
        "env": [*environment, {"name": "HOME", "value": _S3_HOME}],
    }
    return ModelFiles(
        path=needs.mount,
        volumes=(_scratch(needs),),
        mounts=({"name": VOLUME, "mountPath": needs.mount, "readOnly": True},),
        init_containers=(_copier(copy, ("tmp", _S3_HOME)),),
        egress=egress,
        provided=provided,
    )


def _credentials(bucket: Bucket) -> list[YamlValue]:
    rows: list[YamlValue] = []
    if bucket.secret is not None:
        for key in S3_KEYS:
            rows.append({"name": key, "valueFrom": {"secretKeyRef": {"name": bucket.secret, "key": key}}})
    if bucket.region is not None:
        rows += [{"name": name, "value": bucket.region} for name in ("AWS_DEFAULT_REGION", "AWS_REGION")]
    return rows


def _copier(container: Manifest, *others: tuple[str, str]) -> Manifest:
    """A container that fills the scratch volume: little to ask for, and as locked down as the server."""
    requests: Manifest = {"cpu": "250m", "memory": "256Mi"}
    mounts: list[YamlValue] = [{"name": VOLUME, "mountPath": _COPY}]
    mounts += [{"name": name, "mountPath": path} for name, path in others]
    return {
        **container,
        "resources": {"requests": requests, "limits": {"memory": "1Gi"}},
        "volumeMounts": mounts,
    }


def _scratch(needs: ModelNeeds) -> Manifest:
    """Room for a copy with a quarter to spare."""
    size = f"{math.ceil(1.25 * needs.model_bytes / _GIB) + 1}Gi"
    return {"name": VOLUME, "emptyDir": {"sizeLimit": size}}


def _port(endpoint: str | None) -> int:
    return _HTTPS if endpoint is None else int(endpoint.rpartition(":")[2])
