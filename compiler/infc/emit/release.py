"""The pinned Triton release that bundles are emitted for: `targets/servers/triton/versions.yaml`."""

from dataclasses import dataclass
from pathlib import Path

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
    import yaml

    with (triton_folder() / "versions.yaml").open(encoding="utf-8") as file:
        document = yaml.safe_load(file)
    for row in document["releases"]:
        if row["release"] == document["default"]:
            return TritonRelease(**{key: str(row[key]) for key in TritonRelease.__dataclass_fields__})
    raise InternalError(f"versions.yaml: the default release {document['default']!r} is not listed")
