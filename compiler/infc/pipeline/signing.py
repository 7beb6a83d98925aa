"""What `infc sign` and `infc verify` do: signatures put into bundles where they lie, and bundles checked.

A bundle is an archive, or an output folder of `infc compile` with one or several. An archive is exchanged in one step;
a run that is killed leaves the old one or the new one, and the same command again finishes what is left.
"""

import base64
import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import DiagnosticError, ToolError
from infc.emit.jetson import ota
from infc.emit.jetson.archive import SUFFIX, repack
from infc.emit.jetson.delta import sums_of_archive
from infc.emit.jetson.inspection import Inspection, inspect
from infc.emit.jetson.sums import SIGNATURE_NAME
from infc.emit.manifest import MANIFEST_NAME, Manifest, content_digest, read_manifest, verify_bundle
from infc.emit.supply.signing import private_key_id, read_public_key, sign, verify
from infc.ir.edge_release import EdgeRelease
from infc.ir.spec.deploy import OtaFormat
from infc.report.signed import Signed
from infc.resolve.atomic_write import write_text_atomically

_TEMPORARY = ".infc-sign-"


@dataclass(frozen=True, kw_only=True)
class PrivateKey:
    """A private key that openssl reads; the passphrase where it has one."""

    path: Path
    passphrase: str | None = None


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A signature that was made elsewhere (an HSM, a key service), and the public key that it must fit."""

    signature: Path
    public_key: Path


@dataclass(frozen=True, kw_only=True)
class Wrapping:
    """Which update agents to wrap for; `kinds` None: those that the spec asked for, where an output folder says so."""

    kinds: tuple[OtaFormat, ...] | None
    settings: ota.OtaSettings


def archives_of(bundle: Path) -> tuple[Path, ...]:
    """The archives that a path names: itself, or those of an output folder, deltas too, by name.

    Raises:
        ToolError: there is none.
    """
    if bundle.is_dir():
        found = tuple(sorted(bundle.glob(f"*{SUFFIX}")))
        if not found:
            manifest = read_manifest(bundle)
            what = "is no output folder of `infc compile`" if manifest is None else "is no bundle for edge devices"
            raise ToolError(
                f"{bundle} {what}: it holds no {SUFFIX}", help="name a .tar.zst or the folder that holds it"
            )
        return found
    if not bundle.name.endswith(SUFFIX):
        raise ToolError(f"{bundle} is no {SUFFIX}", help="name the archive that `infc compile` wrote, or its folder")
    return (bundle,)


def payload_of(bundle: Path) -> bytes:
    """What a signature is made over: `SHA256SUMS` of the one archive, after the archive was checked to be whole.

    Raises:
        ToolError: there are several archives, or the one is not whole.
    """
    archives = archives_of(bundle)
    if len(archives) > 1:
        names = ", ".join(archive.name for archive in archives)
        raise ToolError(f"{bundle} holds several archives: {names}", help="name one of them")
    _whole(archives[0])
    return sums_of_archive(archives[0])


def sign_bundle(bundle: Path, by: PrivateKey | Attached, wrapping: Wrapping) -> tuple[Signed, ...]:
    """Sign every archive of a bundle, and wrap what is signed. Signing again replaces the signature.

    Raises:
        ToolError: an archive is not whole; a key cannot be used, or did not make the signature; a tool is missing.
        DiagnosticError: the output folder holds something else than what `infc compile` wrote.
    """
    archives = archives_of(bundle)
    if isinstance(by, Attached) and len(archives) > 1:
        raise ToolError(f"{bundle} holds {len(archives)} archives, and a signature is of one", help="name one of them")
    folder = _output_folder(bundle)
    manifest = None if folder is None else _checked_manifest(folder, archives)
    kinds = wrapping.kinds
    if kinds is None:
        kinds = () if folder is None else ota.asked_for(folder)
    releases = [_whole(archive) for archive in archives]
    for kind in kinds:
        ota.check_settings(kind, releases, wrapping.settings)
    signed: list[Signed] = []
    try:
        for archive, release in zip(archives, releases, strict=True):
            signed.append(_sign_archive(archive, release, by))
        for kind in kinds:
            for place, each in enumerate(signed):
                signed[place] = _wrap(each, kind, wrapping.settings)
    finally:  # a tool may refuse: what was made until then is there
        if folder is not None and manifest is not None:
            _write_manifest(folder, manifest, signed)
    return tuple(signed)


def inspect_bundle(bundle: Path, public_keys: Sequence[Path] | None, base: Path | None) -> tuple[Inspection, ...]:
    """Check every archive of a bundle; for an output folder, also that it is what `infc compile` wrote.

    Raises:
        ToolError: there is no archive; a key or the base cannot be used.
        DiagnosticError: the output folder holds something else than what `infc compile` and `infc sign` wrote.
    """
    archives = archives_of(bundle)
    if base is not None and len(archives) > 1:
        raise ToolError(f"{bundle} holds {len(archives)} archives, and --base is for one delta", help="name the delta")
    if bundle.is_dir() and (bundle / MANIFEST_NAME).exists():
        problems = verify_bundle(bundle)
        if problems:
            raise DiagnosticError(problems, exit_code=1)
    return tuple(inspect(archive, public_keys, base) for archive in archives)


def _output_folder(bundle: Path) -> Path | None:
    """The folder that a compile wrote, also where one of its archives is named; None for an archive of its own."""
    if bundle.is_dir():
        return bundle
    manifest = read_manifest(bundle.parent)
    return bundle.parent if manifest is not None and bundle.name in manifest.files else None


def _whole(archive: Path) -> EdgeRelease:
    found = inspect(archive, None)
    for check in found.checks:
        if check.code:
            raise ToolError(f"{archive} is not whole, so it is not signed: {check.words}", help=check.help or None)
    if found.release is None:
        raise ToolError(f"{archive} is not whole, so it is not signed: its manifest cannot be read")
    return found.release


def _sign_archive(archive: Path, release: EdgeRelease, by: PrivateKey | Attached) -> Signed:
    sums = sums_of_archive(archive)
    signature, key_id = _signature_over(sums, by)
    _exchange(archive, signature)
    return Signed(archive=archive, release=release, key_id=key_id, sums_digest=hashlib.sha256(sums).hexdigest())


def _wrap(signed: Signed, kind: OtaFormat, settings: ota.OtaSettings) -> Signed:
    return replace(signed, wrapped=(*signed.wrapped, ota.wrap(kind, signed.archive, signed.release, settings)))


def _signature_over(sums: bytes, by: PrivateKey | Attached) -> tuple[bytes, str]:
    """The signature, and the id of the key that made it."""
    if isinstance(by, PrivateKey):
        return sign(sums, by.path, by.passphrase), private_key_id(by.path, by.passphrase)
    key = read_public_key(by.public_key)
    try:
        signature = _der_of(by.signature.read_bytes())
    except OSError as error:
        raise ToolError(f"cannot read {by.signature}: {error.strerror or error}") from error
    if verify(sums, signature, [key.path]) is None:
        raise ToolError(
            f"{by.signature} is not a signature of this bundle by {by.public_key}; nothing was changed",
            help="it must be ECDSA over SHA-256 of what `infc sign BUNDLE --payload FILE` wrote, in DER or base64",
        )
    return signature, key.id


def _der_of(signature: bytes) -> bytes:
    """The signature without the base64 that key services put around it; a DER sequence begins with 0x30."""
    if signature.startswith(b"0"):
        return signature
    try:
        return base64.b64decode(b"".join(signature.split()), validate=True)
    except ValueError:
        return signature


def _exchange(archive: Path, signature: bytes) -> None:
    """Put the signature into the archive, in one step."""
    _clean_up(archive.parent)
    temporary = archive.with_name(f"{_TEMPORARY}{archive.name}-{os.urandom(6).hex()}")
    try:
        with temporary.open("xb") as out:
            repack(archive, {SIGNATURE_NAME: signature}, out)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        temporary.replace(archive)
    except OSError as error:
        raise ToolError(f"cannot write {archive}: {error.strerror or error}; it is unchanged") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _clean_up(folder: Path) -> None:
    """Remove what killed runs left."""
    for left_over in (*folder.glob(f"{_TEMPORARY}*"), *folder.glob(f"{ota.TEMPORARY}*")):
        if left_over.is_dir() and not left_over.is_symlink():
            shutil.rmtree(left_over, ignore_errors=True)
        else:
            left_over.unlink(missing_ok=True)


def _checked_manifest(folder: Path, archives: Sequence[Path]) -> Manifest | None:
    """The output folder's manifest, when nothing but what signing itself changes differs from it."""
    _clean_up(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    changing = {archive.name for archive in archives}
    changing |= {ota.wrapped_path(kind, archive).name for kind in ota.KINDS for archive in archives}
    problems = tuple(problem for problem in verify_bundle(folder) if problem.message.split(" ", 1)[0] not in changing)
    if problems:
        raise DiagnosticError(problems, exit_code=1)
    return manifest


def _write_manifest(folder: Path, manifest: Manifest, signed: Sequence[Signed]) -> None:
    """Make the output folder's list of digests fit what was written; wrappings of an older signature go."""
    written = [path for each in signed for path in (each.archive, *each.wrapped)]
    files = {**manifest.files, **{path.name: content_digest(path) for path in written}}
    stale = {ota.wrapped_path(kind, each.archive).name for kind in ota.KINDS for each in signed}
    stale -= {path.name for path in written}
    for name in stale:
        (folder / name).unlink(missing_ok=True)
        files.pop(name, None)
    new = Manifest(name=manifest.name, target=manifest.target, files=dict(sorted(files.items())))
    write_text_atomically(folder / MANIFEST_NAME, new.to_bytes().decode())
