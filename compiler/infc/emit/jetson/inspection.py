"""A bundle checked on this machine, with the device's own checks and in its order: who signed it, and is it whole.

What is left to the device is what only it knows: its module and software, its disk, and the engine's speed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from infc.build.edge_release_json import MANIFEST_NAME, from_json
from infc.diag import ToolError
from infc.emit.jetson.archive import ForeignContentError, read_archive
from infc.emit.jetson.delta import missing_at
from infc.emit.jetson.device import trust
from infc.emit.jetson.device.codes import BAD_SIGNATURE, DAMAGED, NO_BASE, OK, UNSIGNED_FILE, Refusal
from infc.emit.jetson.sums import SIGNATURE_NAME, SUMS_NAME
from infc.emit.supply.signing import PublicKey, read_public_key, verify
from infc.ir.edge_release import EdgeDelta, EdgeRelease

CheckName: TypeAlias = Literal["archive", "signature", "files", "manifest", "content", "base"]
_MOST_KEPT_BYTES: Mapping[str, int] = {
    SUMS_NAME: trust.SUMS_BYTES,
    SIGNATURE_NAME: trust.SIGNATURE_BYTES,
    MANIFEST_NAME: trust.MANIFEST_BYTES,
}
_AGAIN = "get the bundle again from who made it"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: whether it holds, what was found, and else what to do. `code` is what the device would exit with."""

    name: CheckName
    code: int
    words: str
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a bundle is and whether it may be trusted. `signer` is the key that made the signature, of those given.

    `release` is None where the manifest cannot be read. `has_signature` says nothing of who made it.
    """

    bundle: Path
    checks: tuple[Check, ...]
    has_signature: bool = False
    signer: PublicKey | None = None
    release: EdgeRelease | None = None
    files: int = 0
    unpacked_bytes: int = 0

    @property
    def code(self) -> int:
        """What the device would exit with: 0, or the code of the first check that failed."""
        return next((check.code for check in self.checks if check.code != OK), OK)


@dataclass(kw_only=True)
class BundleContents:
    """What one reading of a bundle leaves: digests in hex by path, sizes, and the small files that checks need."""

    digests: dict[str, str] = field(default_factory=dict)
    unpacked_bytes: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)


def read_contents(bundle: Path) -> BundleContents:
    """Read every byte of an archive once.

    Raises:
        ToolError: it cannot be read, is damaged, or (`ForeignContentError`) holds what no bundle holds.
    """
    contents = BundleContents()
    for member in read_archive(bundle):
        hasher = hashlib.sha256()
        is_kept = member.size_bytes <= _MOST_KEPT_BYTES.get(member.path, -1)
        pieces = []
        for chunk in member.chunks:
            hasher.update(chunk)
            if is_kept:
                pieces.append(chunk)
        if is_kept:
            contents.kept[member.path] = b"".join(pieces)
        contents.digests[member.path] = hasher.hexdigest()
        contents.unpacked_bytes += member.size_bytes
    return contents


def inspect(bundle: Path, public_keys: Sequence[Path] | None, base: Path | None = None) -> Inspection:
    """Check an archive; `public_keys` None: not who signed it. `base` is the release before, where it is a delta.

    Nothing is written and nothing is sent.

    Raises:
        ToolError: a key or the base cannot be used; or there is no openssl.
    """
    keys = None if public_keys is None else [read_public_key(path) for path in public_keys]
    try:
        contents = read_contents(bundle)
    except ForeignContentError as error:
        return Inspection(bundle=bundle, checks=(_failed("archive", UNSIGNED_FILE, error),))
    except ToolError as error:
        return Inspection(bundle=bundle, checks=(_failed("archive", DAMAGED, error),))
    checks = [_passed("archive", f"{len(contents.digests)} files, {bytes_text(contents.unpacked_bytes)}")]
    signature = contents.kept.get(SIGNATURE_NAME)
    signer = None
    if keys is not None:
        check, signer = _check_signature(contents.kept.get(SUMS_NAME), signature, keys)
        checks.append(check)
    release = _check_contents(contents, checks)
    if release is not None and release.delta is not None:
        checks.append(_check_base(release, base))
    elif base is not None:
        raise ToolError(f"{bundle.name} is no delta, so it needs no base", help="leave --base out")
    return Inspection(
        bundle=bundle,
        checks=tuple(checks),
        has_signature=signature is not None,
        signer=signer,
        release=release,
        files=len(contents.digests),
        unpacked_bytes=contents.unpacked_bytes,
    )


def _check_signature(
    sums: bytes | None, signature: bytes | None, keys: Sequence[PublicKey]
) -> tuple[Check, PublicKey | None]:
    if sums is None or signature is None:
        what = SUMS_NAME if sums is None else SIGNATURE_NAME
        words = f"nobody signed it: it holds no {what}"
        return Check(name="signature", code=BAD_SIGNATURE, words=words, help="sign it: infc sign BUNDLE --key K"), None
    path = verify(sums, signature, [key.path for key in keys])
    for key in keys:
        if key.path == path:
            return _passed("signature", f"{SUMS_NAME} is signed by {key.path} (key {key.id[:16]})"), key
    tried = ", ".join(f"{key.path} (key {key.id[:16]})" for key in keys)
    words = f"none of these keys made the signature: {tried}" if keys else "there is no key to check it with"
    return Check(name="signature", code=BAD_SIGNATURE, words=words, help=_AGAIN), None


def _check_contents(contents: BundleContents, checks: list[Check]) -> EdgeRelease | None:
    """The device's checks of digests, manifest and content; appends what they find."""
    release, manifest = None, None
    try:
        manifest = trust.checked_manifest(contents.kept.get(MANIFEST_NAME, b""))
    except Refusal as refusal:
        of_manifest = _refused("manifest", refusal)
    else:
        release, problems = from_json(contents.kept[MANIFEST_NAME])
        words = "; ".join(problem.message for problem in problems)
        of_manifest = Check(name="manifest", code=DAMAGED, words=words, help=_AGAIN)
        if release is not None:
            of_manifest = _passed("manifest", f"{release.name} {release.version}, format 1")
    try:
        signed = trust.signed_files(contents.kept.get(SUMS_NAME, b""))
        trust.check_files(contents.digests, signed, _absent(release))
    except Refusal as refusal:
        checks += [_refused("files", refusal), of_manifest]
        return release
    checks += [
        _passed("files", f"{len(signed)} files are as {SUMS_NAME} lists them, and no other is there"),
        of_manifest,
    ]
    if manifest is not None:
        try:
            trust.check_content(manifest, signed)
        except Refusal as refusal:
            checks.append(_refused("content", refusal))
        else:
            checks.append(_passed("content", f"{manifest['content_digest']} is the content's"))
    return release


def _absent(release: EdgeRelease | None) -> dict[str, str]:
    delta = None if release is None else release.delta
    return {} if delta is None else {each.path: each.sha256 for each in delta.absent}


def _check_base(release: EdgeRelease, base: Path | None) -> Check:
    delta = release.delta
    if delta is None or base is None:
        words = f"a delta from {delta.base_version if delta else '?'}: the device must have the rest (not checked here)"
        return _passed("base", words)
    missing = missing_at(delta.absent, read_contents(base).digests.values())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        words = f"{base.name} does not hold the content of {missing[0]}{more}"
        return Check(name="base", code=NO_BASE, words=words, help="name the release that the delta was made from")
    words = f"{base.name} holds the {len(delta.absent)} files ({absent_text(delta)}) that the delta leaves out"
    return _passed("base", words)


def _passed(name: CheckName, words: str) -> Check:
    return Check(name=name, code=OK, words=words)


def _failed(name: CheckName, code: int, error: ToolError) -> Check:
    return Check(name=name, code=code, words=str(error), help=error.help or "")


def _refused(name: CheckName, refusal: Refusal) -> Check:
    return Check(name=name, code=refusal.code, words=refusal.message, help=refusal.help)


def absent_text(delta: EdgeDelta) -> str:
    """How much a delta leaves out."""
    return bytes_text(sum(each.size_bytes for each in delta.absent))


def bytes_text(size_bytes: float) -> str:
    """As disks and downloads count them.

    >>> bytes_text(2_100), bytes_text(18_340_000), bytes_text(4.2e9)
    ('2.1 kB', '18.3 MB', '4.20 GB')
    """
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.2f} GB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
