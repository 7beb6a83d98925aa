"""What `infc sign` and `infc verify` say of bundles for servers, as text and as JSON.

The JSON stands in the same documents as that of bundles for edge devices: `schemas/signed.schema.json` and
`schemas/verification.schema.json`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from infc.emit.manifest import Manifest
from infc.emit.supply.signing import PublicKey
from infc.ir.json_schema import object_schema

FORMAT_VERSION = "1.0"
CheckName: TypeAlias = Literal["content", "provenance", "subjects", "model-signature", "lock", "spec"]
_CHECKS: tuple[str, ...] = get_args(CheckName)
_COLUMN = max(map(len, _CHECKS))


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at: whether it holds, in words, and what to do where it does not."""

    name: CheckName
    holds: bool
    words: str
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class ServerInspection:
    """What a look at a bundle found, in the order of the checks.

    `content_digest` and `manifest` are None of a folder that is no bundle; `signer` is None where nobody that is
    trusted has signed, or nobody asked.
    """

    bundle: Path
    manifest: Manifest | None
    content_digest: str | None
    signer: PublicKey | None
    is_signed: bool
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every check does."""
        return all(check.holds for check in self.checks)

    @property
    def is_only_stale(self) -> bool:
        """Whether the bundle is whole and rightly signed, but not the one that lock or spec ask for."""
        failed = {check.name for check in self.checks if not check.holds}
        return bool(failed) and failed <= {"lock", "spec"}


@dataclass(frozen=True, kw_only=True)
class ServerSigned:
    """A bundle that is signed now: by which key, and the files that the signatures are in."""

    bundle: Path
    manifest: Manifest
    content_digest: str
    key_id: str
    files: tuple[str, ...]


def render_server_signed_text(signed: ServerSigned) -> str:
    """A line for the bundle, and one for each signature."""
    manifest = signed.manifest
    head = f"{signed.bundle}: {manifest.name} for {manifest.target}, signed by key {signed.key_id[:16]}"
    return "\n".join((head, *(f"{signed.bundle / name}" for name in signed.files)))


def server_signed_json(signed: ServerSigned) -> str:
    """The report as JSON text."""
    bundle = {
        "path": signed.bundle.as_posix(),
        "name": signed.manifest.name,
        "target": signed.manifest.target,
        "content_digest": signed.content_digest,
        "key_id": signed.key_id,
        "signatures": list(signed.files),
    }
    return json.dumps({"format_version": FORMAT_VERSION, "bundles": [bundle]}, indent=2, ensure_ascii=False)


def render_server_inspections_text(inspections: Sequence[ServerInspection]) -> str:
    """A paragraph for each bundle: what it is, and a line for each check."""
    return "\n\n".join("\n".join(_lines(each)) for each in inspections)


def _lines(inspection: ServerInspection) -> Iterator[str]:
    manifest = inspection.manifest
    what = "" if manifest is None else f"  {manifest.name} for {manifest.target}"
    yield f"{inspection.bundle}{what}"
    for check in inspection.checks:
        yield f"  {'ok  ' if check.holds else 'FAIL'}  {check.name:<{_COLUMN}}  {check.words}"
        if not check.holds and check.help:
            yield f"        {'':<{_COLUMN}}  help: {check.help}"
    if inspection.holds and inspection.signer is None:
        yield f"  the content is whole; {'who signed it was not asked' if inspection.is_signed else 'it is not signed'}"


def server_inspections_json(inspections: Sequence[ServerInspection]) -> str:
    """The report as JSON text."""
    document = {
        "format_version": FORMAT_VERSION,
        "verdict": "pass" if all(each.holds for each in inspections) else "fail",
        "bundles": [_bundle(each) for each in inspections],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _bundle(inspection: ServerInspection) -> dict[str, Any]:
    manifest, signer = inspection.manifest, inspection.signer
    return {
        "path": inspection.bundle.as_posix(),
        "name": None if manifest is None else manifest.name,
        "target": None if manifest is None else manifest.target,
        "content_digest": inspection.content_digest,
        "is_signed": inspection.is_signed,
        "signer": None if signer is None else {"path": signer.path.as_posix(), "key_id": signer.id},
        "checks": [
            {
                "name": check.name,
                "verdict": "pass" if check.holds else "fail",
                "words": check.words,
                "help": check.help or None,
            }
            for check in inspection.checks
        ],
    }


def server_signed_bundle_schema() -> dict[str, Any]:
    """The JSON Schema of one bundle for servers in `infc sign --format json`."""
    text = {"type": "string"}
    return object_schema(
        {
            "path": text,
            "name": text,
            "target": text,
            "content_digest": text,
            "key_id": {**text, "pattern": "^[0-9a-f]{64}$", "description": "sha256 of the public key's DER."},
            "signatures": {"type": "array", "items": text, "description": "Files in the bundle."},
        }
    )


def server_bundle_schema() -> dict[str, Any]:
    """The JSON Schema of one bundle for servers in `infc verify --format json`."""
    text, optional = {"type": "string"}, {"type": ["string", "null"]}
    key_id = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "sha256 of the public key's DER."}
    check = object_schema(
        {"name": {"enum": list(_CHECKS)}, "verdict": {"enum": ["pass", "fail"]}, "words": text, "help": optional}
    )
    return object_schema(
        {
            "path": text,
            "name": optional,
            "target": optional,
            "content_digest": optional,
            "is_signed": {"type": "boolean", "description": "Whether both signatures are there, whoever made them."},
            "signer": {"anyOf": [object_schema({"path": text, "key_id": key_id}), {"type": "null"}]},
            "checks": {"type": "array", "items": check},
        }
    )
