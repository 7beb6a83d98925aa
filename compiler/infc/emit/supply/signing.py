"""ECDSA P-256 signatures by the `openssl` command: what made them here is what checks them on the device.

Keys are PEM files. A private key never enters this process: openssl reads it. Signatures are DER over SHA-256. They are
randomised: two signatures of the same bytes differ, and both are right.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infc.diag import ToolError

# SubjectPublicKeyInfo of an uncompressed point on the named curve prime256v1, without the point's 64 bytes.
# Source: RFC 5480, sections 2 and 2.1.1.1.
_P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200" + "04")
_P256_BYTES = 91
_MOST_KEY_BYTES = 1 << 16
_MOST_SIGNATURE_BYTES = 72
_TIMEOUT_S = 60.0
# An argument would show in the list of processes.
_VARIABLE = "INFC_KEY_FROM_VARIABLE"
_FROM_VARIABLE = f"env:{_VARIABLE}"
_MAKE_ONE = "make one with `infc sign --new-key FILE`"


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """A public key: its file, and its id, the sha256 of its DER in hex."""

    path: Path
    id: str


def read_public_key(path: Path) -> PublicKey:
    """The key of a PEM file.

    Raises:
        ToolError: it is no public key, or not on the curve P-256; or there is no openssl.
    """
    if _pem(path).find(b"PRIVATE KEY") >= 0:
        raise ToolError(f"{path} is a private key", help="give its public half, and keep this file away from devices")
    der = _openssl(["pkey", "-pubin", "-in", str(path), "-outform", "DER"])
    if der is None:
        raise ToolError(f"{path} is not a public key in PEM form", help=_MAKE_ONE)
    return PublicKey(path=path, id=_key_id(der, path))


def public_half(key: Path, passphrase: str | None = None) -> bytes:
    """The public key of a private one, as PEM.

    Raises:
        ToolError: it is no private key, cannot be opened, or is not on the curve P-256.
    """
    _check_private(key, passphrase)
    pem = _openssl(["pkey", "-in", str(key), "-pubout", "-passin", _FROM_VARIABLE], passphrase=passphrase)
    if pem is None:
        raise ToolError(f"openssl cannot read the private key {key}: wrong passphrase, or damaged")
    der = _openssl(["pkey", "-pubin", "-outform", "DER"], pem)
    _key_id(der or b"", key)
    return pem


def private_key_id(key: Path, passphrase: str | None = None) -> str:
    """The id of a private key's public half.

    Raises:
        ToolError: as `public_half`.
    """
    der = _openssl(["pkey", "-pubin", "-outform", "DER"], public_half(key, passphrase))
    return _key_id(der or b"", key)


def sign(sums: bytes, key: Path, passphrase: str | None = None) -> bytes:
    """A signature over the bytes.

    Raises:
        ToolError: the key cannot be used: not readable, not P-256, wrong passphrase; or there is no openssl.
    """
    pem = public_half(key, passphrase)
    options = ["-sha256", "-sign", str(key), "-passin", _FROM_VARIABLE]
    signature = _openssl(["dgst", *options], sums, passphrase=passphrase)
    with tempfile.TemporaryDirectory(prefix="infc-sign-") as folder:
        public = Path(folder) / "key.pem"
        public.write_bytes(pem)
        if signature is None or verify(sums, signature, [public]) is None:
            raise ToolError(f"openssl could not sign with {key}")
    return signature


def verify(sums: bytes, signature: bytes, public_keys: Sequence[Path]) -> Path | None:
    """The first of the keys that made the signature; None when none of them did.

    Raises:
        ToolError: one of the files is no public key on P-256; or there is no openssl.
    """
    if len(signature) > _MOST_SIGNATURE_BYTES:
        return None
    with tempfile.TemporaryDirectory(prefix="infc-verify-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        for key in public_keys:
            read_public_key(key)
            if _openssl(["dgst", "-sha256", "-verify", str(key), "-signature", str(file)], sums) is not None:
                return key
    return None


def new_key(path: Path, passphrase: str | None = None) -> Path:
    """Make a private key, readable by its owner alone, and its public half beside it; returns the public one's path.

    Raises:
        ToolError: one of the two files is there already, cannot be written; or there is no openssl.
    """
    public = public_path(path)
    for each in (path, public):
        if os.path.lexists(each):
            raise ToolError(f"{each} is there already; no key was made", help="choose another name")
    cipher = ["-aes256", "-pass", _FROM_VARIABLE] if passphrase else []
    options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", *cipher]
    pem = _openssl(["genpkey", *options], passphrase=passphrase)
    if pem is None:
        raise ToolError("openssl could not make a key")
    _write_new(path, pem, 0o600)
    _write_new(public, public_half(path, passphrase), 0o644)
    return public


def public_path(key: Path) -> Path:
    """Where `new_key` puts the public half.

    >>> public_path(Path("keys/fleet.pem")).as_posix()
    'keys/fleet.pub.pem'
    """
    return key.with_name(key.name.removesuffix(".pem") + ".pub.pem")


def is_encrypted(key: Path) -> bool:
    """Whether the private key needs a passphrase.

    Raises:
        ToolError: the file cannot be read.
    """
    return b"ENCRYPTED" in _pem(key)


def is_readable_by_others(key: Path) -> bool:
    """Whether somebody else than its owner may read the file."""
    return bool(stat.S_IMODE(key.stat().st_mode) & 0o077)


def _key_id(der: bytes, path: Path) -> str:
    if len(der) != _P256_BYTES or not der.startswith(_P256_PREFIX):
        raise ToolError(
            f"{path} is not a key on the curve P-256, the one that devices check",
            help=f"{_MAKE_ONE}; it takes a moment",
        )
    return hashlib.sha256(der).hexdigest()


def _check_private(key: Path, passphrase: str | None) -> None:
    pem = _pem(key)
    if b"PRIVATE KEY-----" not in pem:
        raise ToolError(f"{key} is not a private key in PEM form", help=_MAKE_ONE)
    if passphrase is None and is_encrypted(key):
        raise ToolError(
            f"{key} has a passphrase", help="name a file that holds it with --passphrase-file, or sign from a terminal"
        )


def _pem(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror or error}") from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise ToolError(f"cannot write {path}: {error.strerror or error}") from error


def _openssl(arguments: Sequence[str], data: bytes = b"", *, passphrase: str | None = None) -> bytes | None:
    """What the command prints; None when it refuses. It asks nothing."""
    program = shutil.which("openssl")
    if program is None:
        raise ToolError("signing needs the openssl command", help="install openssl 1.1.1 or later")
    environment = {**os.environ, "LC_ALL": "C", _VARIABLE: passphrase or ""}
    try:
        done = subprocess.run(
            [program, *arguments],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"openssl could not be run: {error}") from error
    return done.stdout if done.returncode == 0 else None
