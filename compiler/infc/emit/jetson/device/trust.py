"""Whether a bundle may be used: who signed it, whether every file is as it was signed, and that no other is there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .codes import BAD_SIGNATURE, DAMAGED, UNSIGNED_FILE, Refusal
from .programs import required_program

SUMS_NAME, SIGNATURE_NAME, MANIFEST_NAME = "SHA256SUMS", "SHA256SUMS.sig", "manifest.json"
NOT_CONTENT = (MANIFEST_NAME, "sbom.cdx.json", "provenance.json", SUMS_NAME, SIGNATURE_NAME)
"""Files that name the release, and so are not part of its content."""
SUMS_BYTES, SIGNATURE_BYTES, MANIFEST_BYTES = 1 << 22, 1 << 12, 1 << 24
"""Sizes that these files never reach; a larger one is not read."""
_SUM_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_PLAIN_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=,~-]*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,3}")
_MANIFEST_FIELDS = (("targets", list), ("engines", list), ("service", dict), ("slo", dict), ("releases_kept", int))
_SEVERAL = 5
FORMAT_MAJOR = 1
"""Major version of the bundles that this program reads."""


def is_plain_path(path: str) -> bool:
    """Whether a path names a file inside a bundle and nothing else anywhere.

    >>> is_plain_path("verify/0/image.bin"), is_plain_path("../edge.py"), is_plain_path("models/a b.onnx")
    (True, False, False)
    """
    return len(path) <= 255 and all(_PLAIN_PART.fullmatch(part) for part in path.split("/"))


def signed_by(sums: bytes, signature: bytes, keys: Path) -> str:
    """Name of the device's key that signed SHA256SUMS. Raises Refusal 10, 30.

    Only keys that are on the device count, never one that came with the bundle.
    """
    tool = required_program("openssl", "it checks who signed a bundle")
    candidates = public_keys(keys)
    if not candidates:
        raise Refusal(BAD_SIGNATURE, f"{keys} holds no key, so nobody is trusted", "put the public key (*.pem) there")
    with tempfile.TemporaryDirectory(prefix="infc-edge-") as scratch:
        signed, detached = Path(scratch) / "sums", Path(scratch) / "signature"
        signed.write_bytes(sums)
        detached.write_bytes(signature)
        for key in candidates:
            command = [tool, "dgst", "-sha256", "-verify", str(key), "-signature", str(detached), str(signed)]
            answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
            if answer.returncode == 0:
                return key.name
    names = ", ".join(key.name for key in candidates)
    raise Refusal(
        BAD_SIGNATURE,
        f"no key of this device made the signature of {SUMS_NAME} (tried: {names})",
        "get the bundle again from who signs it; if they have a new key, put its public part on the device first",
    )


def public_keys(folder: Path) -> list[Path]:
    """Keys that may sign, by name. Raises Refusal 10 where anybody on the device could have put one."""
    try:
        keys = sorted(path for path in folder.iterdir() if path.name.endswith(".pem") and path.is_file())
    except OSError:
        return []
    for path in (folder, *keys):
        if path.stat().st_mode & stat.S_IWOTH:
            raise Refusal(BAD_SIGNATURE, f"{path} can be changed by anybody", f"chmod o-w {path}")
    return keys


def signed_files(sums: bytes) -> dict[str, str]:
    """Digest of each file that SHA256SUMS lists. Raises Refusal 11."""
    files: dict[str, str] = {}
    try:
        lines = sums.decode("ascii").splitlines()
    except UnicodeDecodeError:
        lines = [""]
    for line in lines:
        match = _SUM_LINE.fullmatch(line)
        if match is None or not is_plain_path(match[2]) or match[2] in files:
            raise Refusal(DAMAGED, f"{SUMS_NAME} has a line that is none of its own: {line[:100]!r}")
        files[match[2]] = match[1]
    return files


def check_files(found: dict[str, str], signed: dict[str, str], absent: dict[str, str]) -> None:
    """Refuse files (path -> digest) that are not those that were signed. Raises Refusal 11, 12.

    `absent` are the files that a delta leaves out, which are signed for as well.
    """
    invented = sorted(path for path, digest in absent.items() if signed.get(path) != digest)
    if invented:
        raise Refusal(DAMAGED, f"the delta leaves out what nobody signed for: {several(invented)}", "compile it again")
    unsigned = sorted(set(found) - set(signed) - {SUMS_NAME, SIGNATURE_NAME})
    if unsigned:
        raise Refusal(UNSIGNED_FILE, f"nobody signed for {several(unsigned)}", "get the bundle again")
    changed = sorted(path for path, digest in signed.items() if path in found and found[path] != digest)
    if changed:
        raise Refusal(DAMAGED, f"not as it was signed: {several(changed)}", "get the bundle again")
    missing = sorted(path for path, digest in signed.items() if path not in found and absent.get(path) != digest)
    if missing:
        raise Refusal(DAMAGED, f"missing: {several(missing)}", "get the bundle again")


def is_newer_format(content: bytes) -> dict[str, Any] | None:
    """The manifest of a signed bundle whose format is newer than this program; None for all others."""
    try:
        manifest = json.loads(content.decode("utf-8"))
        major = int(str(manifest["format_version"]).split(".")[0])
    except (ValueError, KeyError, TypeError):
        return None
    return manifest if major > FORMAT_MAJOR else None


def checked_manifest(content: bytes) -> dict[str, Any]:
    """The manifest of a signed bundle. Raises Refusal 11."""
    try:
        manifest = json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise Refusal(DAMAGED, f"{MANIFEST_NAME} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or str(manifest.get("format_version", "")).split(".")[0] != str(FORMAT_MAJOR):
        raise Refusal(DAMAGED, f"{MANIFEST_NAME} is not of format {FORMAT_MAJOR}", "compile the bundle again")
    checks = (("name", is_plain_path), ("version", _VERSION.fullmatch), ("content_digest", _DIGEST.fullmatch))
    for field, is_right in checks:
        if not isinstance(manifest.get(field), str) or not is_right(manifest[field]):
            raise Refusal(DAMAGED, f"{MANIFEST_NAME} has no {field} that can be used")
    for field, kind in _MANIFEST_FIELDS:
        if not isinstance(manifest.get(field), kind):
            raise Refusal(DAMAGED, f"{MANIFEST_NAME} has no {field} that can be used")
    return manifest


def absent_files(manifest: dict[str, Any]) -> dict[str, str]:
    """Digest of each file that a delta leaves out."""
    delta = manifest.get("delta") or {}
    return {entry["path"]: entry["sha256"] for entry in delta.get("absent", ())}


def content_digest_of(signed: dict[str, str]) -> str:
    """Digest of a release's content: equal whatever the release is called."""
    lines = [f"{digest}  {path}\n" for path, digest in sorted(signed.items()) if path not in NOT_CONTENT]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def check_content(manifest: dict[str, Any], signed: dict[str, str]) -> None:
    """Refuse a manifest that states another content than was signed. Raises Refusal 11."""
    if manifest["content_digest"] != content_digest_of(signed):
        raise Refusal(DAMAGED, f"{MANIFEST_NAME} states the digest of another content", "get the bundle again")


def digest_of(path: Path) -> str:
    """Sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def files_under(folder: Path) -> dict[str, Path]:
    """Every file under a folder, by its path there. Raises Refusal 12 for anything else than a plain file or folder."""
    found: dict[str, Path] = {}
    for base, folders, names in os.walk(str(folder)):
        for name in (*folders, *names):
            path = Path(base) / name
            inside = str(path.relative_to(folder))
            mode = path.lstat().st_mode
            if not is_plain_path(inside) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise Refusal(UNSIGNED_FILE, f"the bundle has what no bundle has: {inside!r}", "get the bundle again")
            if stat.S_ISREG(mode):
                found[inside] = path
    return found


def several(paths: list[str]) -> str:
    """Some of the names, and how many more there are.

    >>> several(["a", "b"]), several(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(paths) - _SEVERAL} more" if len(paths) > _SEVERAL else ""
    return ", ".join(paths[:_SEVERAL]) + more
