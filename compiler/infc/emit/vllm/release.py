"""The pinned vLLM release that bundles are emitted for: `targets/servers/vllm/versions.yaml`."""

from dataclasses import dataclass
from pathlib import Path

from infc.diag import InternalError
from infc.resolve.targets.location import data_directory


@dataclass(frozen=True, kw_only=True)
class VllmRelease:
    """One release: its images, what the CUDA image needs of a host, and the user that it is prepared to run as."""

    version: str
    image: str
    cpu_image: str
    cuda: str
    minimum_driver: str
    minimum_compute_capability: str
    user: int
    group: int
    home: str
    python_package: str


def vllm_folder() -> Path:
    """The folder of vLLM's data: versions, what each accepts, templates."""
    return data_directory("targets") / "servers" / "vllm"


def vllm_releases() -> tuple[VllmRelease, ...]:
    """Every release of which infc knows what it accepts, the default first."""
    import yaml

    with (vllm_folder() / "versions.yaml").open(encoding="utf-8") as file:
        document = yaml.safe_load(file)
    releases = [
        VllmRelease(**{key: row[key] for key in VllmRelease.__dataclass_fields__}) for row in document["releases"]
    ]
    first = [release for release in releases if release.version == document["default"]]
    if not first:
        raise InternalError(f"versions.yaml: the default version {document['default']!r} is not listed")
    return (*first, *(release for release in releases if release not in first))


def default_release() -> VllmRelease:
    """The release named by `default`."""
    return vllm_releases()[0]
