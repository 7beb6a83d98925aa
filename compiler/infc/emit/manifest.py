"""`infc-bundle.json`: marks a folder as infc's own and holds the digest of every other file of the bundle in it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from infc.diag import Diagnostic, InternalError
from infc.ir.bundle import Bundle

MANIFEST_NAME = "infc-bundle.json"
SIGNATURES = frozenset({"provenance.dsse.json", "model.sig"})
"""What `infc sign` puts beside the files of a bundle for servers: no part of it, and gone when it is written anew."""
REPORT_NAME = "report.html"
"""What people read of a bundle: beside its files and no part of it, because every load test renews it."""
BESIDE = SIGNATURES | {REPORT_NAME}
"""Files in a bundle's folder that its manifest does not list."""
FORMAT_VERSION = "1.0"
_CHUNK_BYTES = 1 << 20
_NO_FILE = "no file"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a bundle holds: path -> `sha256:<hex>`, without the manifest itself and what lies beside the bundle."""

    name: str
    target: str
    files: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """The file's content; same bundle, same bytes."""
        document = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "target": self.target,
            "files": dict(sorted(self.files.items())),
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def bundle_digests(bundle: Bundle) -> dict[str, str]:
    """Path -> `sha256:<hex>` of every file of the bundle, sorted by path; files on disk are read."""
    return {path: content_digest(content) for path, content in sorted(bundle.files.items())}


def content_digest(content: bytes | Path) -> str:
    """`sha256:<hex>` of the bytes or of the file's."""
    if isinstance(content, bytes):
        return "sha256:" + hashlib.sha256(content).hexdigest()
    hasher = hashlib.sha256()
    with content.open("rb") as file:
        for chunk in chunks(file):
            hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of the file in pieces of at most 1 MiB."""
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def check_path(path: str) -> None:
    """Raise InternalError unless `path` is relative, POSIX, stays inside its folder and is not the manifest."""
    pure = PurePosixPath(path)
    is_clean = path == str(pure) and not pure.is_absolute() and ".." not in pure.parts and path not in ("", ".")
    if not is_clean or "\\" in path or "\0" in path or path == MANIFEST_NAME or path in BESIDE:
        raise InternalError(f"a bundle cannot hold a file {path!r}")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a bundle on disk, or None when there is none or it is not one that this version reads."""
    try:
        document = json.loads((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    match document:
        case {"format_version": str(version), "name": str(name), "target": str(target), "files": dict(files)}:
            if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
                return None
            if all(isinstance(path, str) and isinstance(digest, str) for path, digest in files.items()):
                return Manifest(name=name, target=target, files=files)
    return None


def digests_on_disk(folder: Path) -> dict[str, str]:
    """Path -> `sha256:<hex>` of every file in a folder, sorted; of a link or a pipe, what is no file's digest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {
        path.relative_to(folder).as_posix(): (
            content_digest(path) if path.is_file() and not path.is_symlink() else _NO_FILE
        )
        for path in paths
    }


def verify_bundle(folder: Path, found: Mapping[str, str] | None = None) -> tuple[Diagnostic, ...]:
    """Every difference between the files of a bundle on disk and its manifest: missing, changed and added ones.

    `found` are the folder's `digests_on_disk`, where they are known: a large bundle is then not read again.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return (
            Diagnostic(
                id="bundle-unreadable",
                message=f"{folder} is not a bundle of infc: it has no readable {MANIFEST_NAME}",
                help="compile the spec again with `infc compile`",
            ),
        )
    digests = digests_on_disk(folder) if found is None else found
    there = digests.keys() - {MANIFEST_NAME} - BESIDE
    changes = [f"{path} is missing" for path in sorted(manifest.files.keys() - there)]
    changes += [f"{path} was added" for path in sorted(there - manifest.files.keys())]
    changes += [
        f"{path} was changed" for path in sorted(there & manifest.files.keys()) if digests[path] != manifest.files[path]
    ]
    return tuple(
        Diagnostic(
            id="bundle-changed",
            message=f"{change} since infc wrote {folder}",
            help="compile the spec again, or restore the file",
        )
        for change in changes
    )
