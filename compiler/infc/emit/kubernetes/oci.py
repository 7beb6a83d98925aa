"""A model's files as an OCI image, with Python alone: the same files give the same digest, whoever makes it and when.

One uncompressed layer, because engines and weights do not compress and compressors differ; no times, no owners, no
program. The image is the same for every platform that nodes may have: an index names it once for each of them.

Source: OCI Image Format Specification 1.1: image layout, index, manifest, configuration.
"""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infc.emit.kubernetes.storage import IMAGE_FOLDER, release_tag
from infc.emit.manifest import content_digest

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES = ("amd64", "arm64")
_FILE_MODE, _FOLDER_MODE = 0o444, 0o555


@dataclass(frozen=True, kw_only=True)
class ImageLayout:
    """An image as a folder: path -> content. `tag` is its name in there, `digest` what a registry knows it by."""

    files: Mapping[str, bytes | Path]
    tag: str
    digest: str


def write_layer(files: Mapping[str, Path], target: Path) -> None:
    """Write a tar with every file under `/models`, by name; nothing of this machine in it.

    Args:
        files: path in the image, relative to `/models`, -> the file.
        target: what is written.

    Raises:
        OSError: a file cannot be read, or the disk is full.
    """
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for folder in sorted(_folders(files)):
            archive.addfile(_entry(folder, _FOLDER_MODE, kind=tarfile.DIRTYPE))
        for path, file in sorted(files.items()):
            with file.open("rb") as content:
                entry = _entry(f"{IMAGE_FOLDER}/{path}", _FILE_MODE)
                entry.size = file.stat().st_size
                archive.addfile(entry, content)


def image_layout(layer: Path, release: str | None) -> ImageLayout:
    """The layout around a layer: what `skopeo copy oci:FOLDER:TAG` reads.

    The tag is made of the digest of the release, or of the image itself where there is none.
    """
    digest = content_digest(layer)
    layer_row = {"mediaType": _LAYER, "digest": digest, "size": layer.stat().st_size}
    files: dict[str, bytes | Path] = {_blob(digest): layer}
    rows = []
    for architecture in _ARCHITECTURES:
        config = _json(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest]},
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _row(_CONFIG, config, files),
                "layers": [layer_row],
            }
        )
        platform = {"architecture": architecture, "os": "linux"}
        rows.append({**_row(_MANIFEST, manifest, files), "platform": platform})
    index = _row(_INDEX, _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": rows}), files)
    tag = release_tag(release or str(index["digest"]))
    named = {**index, "annotations": {"org.opencontainers.image.ref.name": tag}}
    files["index.json"] = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [named]})
    files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
    return ImageLayout(files=dict(sorted(files.items())), tag=tag, digest=str(index["digest"]))


def _row(media_type: str, content: bytes, files: dict[str, bytes | Path]) -> dict[str, object]:
    """The descriptor of a blob, which is added to the files."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    files[_blob(digest)] = content
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _entry(path: str, mode: int, *, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.mtime, entry.uid, entry.gid = kind, mode, 0, 0, 0
    return entry


def _folders(files: Mapping[str, Path]) -> set[str]:
    """Every folder on the way to a file."""
    paths = (PurePosixPath(IMAGE_FOLDER) / path for path in files)
    return {str(parent) for path in paths for parent in path.parents if str(parent) != "."}
