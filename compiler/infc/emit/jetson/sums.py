"""`SHA256SUMS`, what a signature covers; and the content digest, what a release is."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from infc.emit.jetson.archive import is_bundle_path
from infc.emit.manifest import content_digest as file_digest

SUMS_NAME = "SHA256SUMS"
SIGNATURE_NAME = "SHA256SUMS.sig"
# These name the release; two releases of equal content have one content digest.
OF_THE_RELEASE = ("manifest.json", "sbom.cdx.json", "provenance.json", SUMS_NAME, SIGNATURE_NAME)
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def with_sums(files: Mapping[str, bytes | Path]) -> dict[str, bytes | Path]:
    """The files, sorted by path, and `SHA256SUMS` over them; an older one and its signature are left out."""
    covered = {path: files[path] for path in sorted(files) if path not in (SUMS_NAME, SIGNATURE_NAME)}
    return dict(sorted({**covered, SUMS_NAME: sums_of(digests_of(covered))}.items()))


def digests_of(files: Mapping[str, bytes | Path]) -> dict[str, str]:
    """Path -> sha256 in hex, sorted by path; files on disk are read."""
    return {path: file_digest(files[path]).removeprefix("sha256:") for path in sorted(files)}


def sums_of(digests: Mapping[str, str]) -> bytes:
    r"""The text that `sha256sum -c` reads.

    >>> sums_of({"b": "2" * 64, "a": "1" * 64}).decode().splitlines()[0].endswith("1  a")
    True
    """
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)).encode()


def parse_sums(sums: bytes) -> dict[str, str] | None:
    """Path -> sha256 in hex; None when it is not what `sums_of` writes: every line, sorted, no path twice.

    >>> parse_sums(b"x")
    """
    try:
        lines = sums.decode("ascii").splitlines()
    except UnicodeDecodeError:
        return None
    matches = [_LINE.fullmatch(line) for line in lines]
    digests = {match[2]: match[1] for match in matches if match is not None}
    if sums_of(digests) != sums or not all(is_bundle_path(path) for path in digests):
        return None
    return digests


def content_digest(files: Mapping[str, bytes | Path]) -> str:
    """`sha256:<hex>` of what the files are; equal whatever the release is called, and whoever signed it."""
    return content_digest_of(digests_of(files))


def content_digest_of(digests: Mapping[str, str]) -> str:
    """`content_digest`, from path -> sha256 in hex (as `SHA256SUMS` lists them).

    >>> content_digest_of({"a": "1" * 64}) == content_digest_of({"a": "1" * 64, "manifest.json": "2" * 64})
    True
    """
    content = {path: digest for path, digest in digests.items() if path not in OF_THE_RELEASE}
    return "sha256:" + hashlib.sha256(sums_of(content)).hexdigest()
