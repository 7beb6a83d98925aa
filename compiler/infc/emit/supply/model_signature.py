"""`model.sig`: a signature over every file of a folder in the format of OpenSSF Model Signing, with a key of one's own.

The package `model-signing` verifies it (`model_signing verify key`), and so does infc without it. The format is a
Sigstore bundle around a DSSE envelope; with a key of one's own there is no certificate, no log and no network.
Source: what model-signing 1.1.1 writes and takes (github.com/sigstore/model-transparency).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.emit.manifest import REPORT_NAME
from infc.emit.supply.dsse import MOST_BYTES, Envelope, from_document, sealed, to_document
from infc.emit.supply.in_toto import STATEMENT_TYPE, in_toto_statement
from infc.emit.supply.signing import public_half

MODEL_SIGNATURE_NAME = "model.sig"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_LEFT_OUT = (".git", ".gitattributes", ".github", ".gitignore", REPORT_NAME)


@dataclass(frozen=True, kw_only=True)
class SignedFolder:
    """What a signature says of a folder: path -> sha256 in hex of every file that it covers."""

    name: str
    files: Mapping[str, str]


def covered(files: Mapping[str, str]) -> dict[str, str]:
    """The files that a signature covers: all but itself, the report and what git keeps in a folder's root.

    They are sorted by path. A report is renewed by every load test; nothing that is deployed reads it.

    >>> covered({"b": "2", "a": "1", "model.sig": "3", ".gitignore": "4", "c/.gitignore": "5", "report.html": "6"})
    {'a': '1', 'b': '2', 'c/.gitignore': '5'}
    """
    ignored = {*_LEFT_OUT, MODEL_SIGNATURE_NAME}
    return {path: files[path] for path in sorted(files) if path.partition("/")[0] not in ignored}


def signed_folder(name: str, files: Mapping[str, str], key: Path, passphrase: str | None = None) -> bytes:
    """The content of `model.sig`.

    Args:
        name: what the folder is called.
        files: path -> sha256 in hex.
        key: the private key.
        passphrase: of the key.

    Raises:
        ToolError: the key cannot be used; or there is no openssl.
    """
    resources = covered(files)
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in resources.values()))
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root.hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "hash_type": "sha256",
                "allow_symlinks": False,
                "method": "files",
                "ignore_paths": [*_LEFT_OUT, MODEL_SIGNATURE_NAME],
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest} for path, digest in resources.items()
            ],
        },
    }
    envelope = sealed(json.dumps(statement, indent=1, ensure_ascii=False).encode(), key, passphrase)
    # The package's hint of a key is the sha256 of its PEM form; it warns when the key that verifies has another one.
    hint = hashlib.sha256(public_half(key, passphrase)).hexdigest()
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": to_document(envelope),
    }
    return (json.dumps(bundle) + "\n").encode()


def envelope_of(content: bytes) -> Envelope | None:
    """The envelope in a `model.sig`; None when it is cut off, or is none, or is by a certificate instead of a key."""
    if len(content) > MOST_BYTES:
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"mediaType": str(kind), "verificationMaterial": {"publicKey": dict()}, "dsseEnvelope": envelope}:
            return from_document(envelope) if kind == _MEDIA_TYPE else None
    return None


def folder_of(payload: bytes) -> SignedFolder | None:
    """What a payload says; None when it is no such statement, or one whose parts contradict each other."""
    stated = in_toto_statement(payload, PREDICATE_TYPE)
    if stated is None:
        return None
    match stated.subjects, stated.predicate:
        case [{"name": str(name), "digest": {"sha256": str(root)}}], {"resources": list(resources)}:
            files = _resources(resources)
            if files is None or _root_of(resources) != root:
                return None
            return SignedFolder(name=name, files=files)
    return None


def _resources(stated: list[object]) -> dict[str, str] | None:
    files: dict[str, str] = {}
    for each in stated:
        match each:
            case {"name": str(name), "algorithm": "sha256", "digest": str(digest)} if name not in files:
                files[name] = digest
            case _:
                return None
    return files


def _root_of(stated: list[object]) -> str | None:
    digests = [each["digest"] for each in stated if isinstance(each, dict)]
    try:
        return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()
    except ValueError:
        return None
