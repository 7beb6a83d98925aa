"""Releases for the scenarios: a small served model, in versions, damaged, as deltas; signed by a key of the test."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from infc.build.edge_release_json import MANIFEST_NAME
from infc.emit.jetson.archive import pack, read_archive
from infc.emit.jetson.delta import delta_of
from infc.emit.jetson.edge_file import edge_file
from infc.emit.jetson.sums import SIGNATURE_NAME, SUMS_NAME, content_digest, with_sums
from infc.emit.jetson.systemd import unit_files
from infc.emit.supply.signing import new_key, sign
from tests.emit.jetson.device.bundles import NAME, Maker

Files = Mapping[str, bytes]
TARGET = "jetson-orin-nx-16gb"
LIBRARIES = "/usr/lib/aarch64-linux-gnu"
CONFIG = """\
name: "dock-camera"
platform: "tensorrt_plan"
input { name: "image" data_type: TYPE_FP32 dims: [1, 4] }
output { name: "scores" data_type: TYPE_FP32 dims: [1, 3] }
"""
COMPOSE = """\
name: infc-dock-camera
services:
  dock-camera:
    image: nvcr.io/nvidia/tritonserver:24.10-py3-igpu
    command: [tritonserver, --model-repository=/bundle/triton, --load-model=dock-camera, --http-port=8000]
    volumes:
    - {type: bind, source: ., target: /bundle, read_only: true, bind: {create_host_path: false}}
    - {type: bind, source: %(libraries)s/libnvinfer.so.%(major)s, target: %(libraries)s/libnvinfer.so.%(major)s,
       bind: {create_host_path: false}}
    ports: ["127.0.0.1:%(port)s:8000"]
"""


@dataclass
class Releases:
    """Releases of one deployment, all from the same base content.

    `base` are the files of a release without sums and signatures.
    """

    folder: Path
    base: Files
    key: Path = field(init=False)
    public: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = self.folder / "release.key"
        self.public = new_key(self.key)

    @property
    def name(self) -> str:
        """Name of the deployment."""
        return str(self.manifest["name"])

    @property
    def manifest(self) -> dict[str, Any]:
        """What the base states."""
        found: dict[str, Any] = json.loads(self.base[MANIFEST_NAME])
        return found

    def files(
        self, version: str, *, content: Files | None = None, changes: Mapping[str, Any] | None = None
    ) -> dict[str, bytes]:
        """Files of a release, without sums: the base with other content, and fields of the manifest by dotted paths."""
        files = {**self.base, **(content or {})}
        stated = self.manifest
        for path, value in {"version": version, "delta": None, **(changes or {})}.items():
            set_field(stated, path, value)
        for engine in stated["engines"]:
            engine["model_digest"] = "sha256:" + sha256(files[engine["model"]]).hexdigest()
        stated["content_digest"] = content_digest(files)
        return {**files, MANIFEST_NAME: json.dumps(stated, indent=1, sort_keys=True).encode()}

    def signed(self, files: Files, key: Path | None = None) -> dict[str, bytes]:
        """The files with SHA256SUMS and its signature."""
        summed = {path: content for path, content in with_sums(files).items() if isinstance(content, bytes)}
        return {**summed, SIGNATURE_NAME: sign(summed[SUMS_NAME], key or self.key)}

    def packed(self, version: str, files: Files, note: str = "") -> Path:
        """An archive of exactly these files."""
        place = self.folder / (note or "full")
        place.mkdir(exist_ok=True)
        path = place / f"{self.name}-{TARGET}-{version}.tar.zst"
        with path.open("wb") as out:
            pack(files, f"{self.name}-{version.partition('.from-')[0]}", out)
        return path

    def archive(self, version: str, note: str = "", **options: Any) -> Path:
        """A signed bundle."""
        return self.packed(version, self.signed(self.files(version, **options)), note)

    def delta(self, version: str, base: Files, base_version: str, **options: Any) -> Path:
        """A signed bundle that leaves out what the release with the files `base` has."""
        files = self.files(version, **options)
        sums = with_sums(base)[SUMS_NAME]
        assert isinstance(sums, bytes)
        found = delta_of(files, sums)
        stated = json.loads(files[MANIFEST_NAME])
        stated["delta"] = {
            "base_version": base_version,
            "absent": [{"path": one.path, "sha256": one.sha256, "size_bytes": one.size_bytes} for one in found.absent],
        }
        signed = self.signed({**files, MANIFEST_NAME: json.dumps(stated).encode()})
        carried = {path: content for path, content in found.carried(signed).items() if isinstance(content, bytes)}
        return self.packed(f"{version}.from-{base_version}", carried, "delta")


def small_releases(folder: Path, port: int, seconds_at_most: float = 15.0) -> Releases:
    """A linear model of twelve weights behind Triton's stand-in: built and judged in about a second."""
    files = Maker(folder / "maker", program=edge_file()).files("1")
    # The shapes of the model are fixed, and forty requests settle a p90.
    changes = {
        "service.kind": "triton",
        "service.url": f"http://127.0.0.1:{port}",
        "service.ready_timeout_s": 240.0,
        "slo.latency": [{"percentile": 90.0, "limit_s": 10.0}],
        "load.rate_rps": 40.0,
        "load.warm_up_s": 0.3,
        "load.seconds_at_most": seconds_at_most,
    }
    stated = json.loads(files[MANIFEST_NAME])
    for path, value in changes.items():
        set_field(stated, path, value)
    served = {
        "compose.yaml": (COMPOSE % {"port": port, "libraries": LIBRARIES, "major": 10}).encode(),
        f"triton/{NAME}/config.pbtxt": CONFIG.encode(),
        **unit_files(NAME),
    }
    return Releases(folder=folder, base={**files, **served, MANIFEST_NAME: json.dumps(stated).encode()})


def files_of_archive(archive: Path) -> dict[str, bytes]:
    """The files of a bundle, without its sums and signature."""
    found = {member.path: b"".join(member.chunks) for member in read_archive(archive)}
    return {path: content for path, content in found.items() if path not in (SUMS_NAME, SIGNATURE_NAME)}


def set_field(stated: dict[str, Any], path: str, value: Any) -> None:
    """Set a field of a JSON object by its dotted path."""
    *parents, last = path.split(".")
    place: Any = stated
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
