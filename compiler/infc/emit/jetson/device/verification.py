"""Verifies a bundle as a whole: in staging before anything of it runs, or where it lies, without writing anything."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from .codes import BAD_SIGNATURE, DAMAGED, Refusal
from .shapes import check_shape
from .trust import (
    MANIFEST_BYTES,
    MANIFEST_NAME,
    SIGNATURE_BYTES,
    SIGNATURE_NAME,
    SUMS_BYTES,
    SUMS_NAME,
    absent_files,
    check_content,
    check_files,
    checked_manifest,
    digest_of,
    files_under,
    is_newer_format,
    signed_by,
    signed_files,
)
from .unpacking import bundle_members, said_name

_READ_WHOLE = {SUMS_NAME: SUMS_BYTES, SIGNATURE_NAME: SIGNATURE_BYTES, MANIFEST_NAME: MANIFEST_BYTES}


class Verified:
    """A bundle whose signature and files are right: its manifest, the key that signed it, how many files it has."""

    def __init__(self, manifest: dict[str, Any], key: str, files: int, is_newer_format: bool) -> None:
        self.manifest, self.key, self.files, self.is_newer_format = manifest, key, files, is_newer_format


def verify_staged(folder: Path, keys: Path) -> Verified:
    """Verify an unpacked bundle. Raises Refusal 10, 11, 12, 30."""
    files = files_under(folder)
    digests = {path: digest_of(file) for path, file in files.items()}
    contents = {path: _read(files[path], most) for path, most in _READ_WHOLE.items() if path in files}
    return _verified(digests, contents, keys)


def verify_bundle(bundle: Path, keys: Path) -> Verified:
    """Verify a folder or an archive where it is; an archive is not unpacked. Raises Refusal 1, 10, 11, 12, 30."""
    digests: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    said: tuple[str, str] | None = None
    for member in bundle_members(bundle):
        said = said or said_name(member, bundle)
        digest = hashlib.sha256()
        kept = bytearray()
        for chunk in member.chunks:
            digest.update(chunk)
            if len(kept) <= _READ_WHOLE.get(member.path, -1):
                kept += chunk
        digests[member.path] = digest.hexdigest()
        if member.path in _READ_WHOLE:
            contents[member.path] = _bounded(bytes(kept), member.path)
    verified = _verified(digests, contents, keys)
    if said is not None:
        check_said_name(verified.manifest, *said)
    return verified


def check_said_name(manifest: dict[str, Any], name: str, version: str) -> None:
    """Refuse a bundle whose folder is called otherwise than its signed manifest says. Raises Refusal 11."""
    if (manifest["name"], manifest["version"]) != (name, version):
        says = f"{manifest['name']} {manifest['version']}"
        raise Refusal(DAMAGED, f"the folder says {name} {version}, the signed manifest {says}", "get the bundle again")


def _verified(digests: dict[str, str], contents: dict[str, bytes], keys: Path) -> Verified:
    for needed in (SUMS_NAME, SIGNATURE_NAME):
        if needed not in contents:
            words = f"the bundle has no {needed}, so nobody signed it"
            raise Refusal(BAD_SIGNATURE, words, "get the bundle from who signs it (`infc sign`)")
    key = signed_by(contents[SUMS_NAME], contents[SIGNATURE_NAME], keys)
    signed = signed_files(contents[SUMS_NAME])
    if MANIFEST_NAME not in contents or signed.get(MANIFEST_NAME) != digests[MANIFEST_NAME]:
        raise Refusal(DAMAGED, f"{MANIFEST_NAME} is not as it was signed", "get the bundle again")
    content = contents[MANIFEST_NAME]
    newer = is_newer_format(content)
    if newer is not None:
        check_files(digests, signed, signed)
        return Verified(newer, key, len(digests), is_newer_format=True)
    manifest = checked_manifest(content)
    check_shape(manifest)
    check_files(digests, signed, absent_files(manifest))
    check_content(manifest, signed)
    return Verified(manifest, key, len(digests), is_newer_format=False)


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(most + 1), os.path.basename(str(path)))


def _bounded(content: bytes, name: str) -> bytes:
    if len(content) > _READ_WHOLE[name]:
        raise Refusal(DAMAGED, f"{name} is larger than that of any bundle", "get the bundle again")
    return content
