"""The pinned Triton release that bundles are emitted for: `targets/servers/triton/versions.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infc.diag import InternalError
from infc.resolve.targets.location import data_directory


@dataclass(frozen=True, kw_only=True)
class TritonRelease:
    """One release: NVIDIA's tag, the server's version, and the libraries inside that decide what it can load."""

    release: str
    server_version: str
    container: str
    cuda: str
    tensorrt: str
    onnxruntime: str


def triton_folder() -> Path:
    """The folder of Triton's data: versions, templates and the backend that infc brings."""
    return data_directory("targets") / "servers" / "triton"


def default_release() -> TritonRelease:
    """The release named by `default`."""
    release = release_named(str(_versions()["default"]))
    if release is None:
        raise InternalError(f"versions.yaml: the default release {_versions()['default']!r} is not listed")
    return release


def release_named(name: str) -> TritonRelease | None:
    """The release with this tag, such as `24.10`; None where it is not listed."""
    for row in _versions()["releases"]:
        if row["release"] == name:
            return TritonRelease(**{key: str(row[key]) for key in TritonRelease.__dataclass_fields__})
    return None


def _versions() -> dict[str, Any]:
    import yaml

    with (triton_folder() / "versions.yaml").open(encoding="utf-8") as file:
        document: dict[str, Any] = yaml.safe_load(file)
    return document
