"""What `infc verify` found, as text and as JSON (`schemas/verification.schema.json`)."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from infc.emit.jetson.inspection import CheckName, Inspection, bytes_text
from infc.ir.json_schema import object_schema
from infc.report.server_bundles import server_bundle_schema

FORMAT_VERSION = "1.0"
_CHECKS: tuple[str, ...] = get_args(CheckName)
_COLUMN = max(map(len, _CHECKS))


def render_inspections_text(inspections: Sequence[Inspection]) -> str:
    """A paragraph for each archive: what it is, each check, and whether a device would take it."""
    return "\n\n".join("\n".join(_lines(each)) for each in inspections)


def _lines(inspection: Inspection) -> Iterator[str]:
    yield f"{inspection.bundle}  {bytes_text(inspection.bundle.stat().st_size)}"
    release = inspection.release
    if release is not None:
        targets = ", ".join(target.hardware_id for target in release.targets)
        base = "" if release.delta is None else f", a delta from {release.delta.base_version}"
        yield f"  {release.name} {release.version} for {targets}{base}, made by infc {release.infc_version}"
    for check in inspection.checks:
        yield f"  {'ok  ' if check.code == 0 else 'FAIL'}  {check.name:<{_COLUMN}}  {check.words}"
        if check.code and check.help:
            yield f"        {'':<{_COLUMN}}  help: {check.help}"
    if inspection.code:
        yield f"  a device would refuse it with exit code {inspection.code}"
    elif inspection.signer is not None:
        yield "  a device that has this key would take it, if the release is for it"
    else:
        signature = "who signed it was not asked" if inspection.has_signature else "nobody has signed it yet"
        yield f"  the content is whole; {signature}"


def inspections_json(inspections: Sequence[Inspection]) -> str:
    """The report as JSON text."""
    document = {
        "format_version": FORMAT_VERSION,
        "verdict": "fail" if any(each.code for each in inspections) else "pass",
        "bundles": [_bundle(each) for each in inspections],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _bundle(inspection: Inspection) -> dict[str, Any]:
    release, signer = inspection.release, inspection.signer
    return {
        "path": inspection.bundle.as_posix(),
        "size_bytes": inspection.bundle.stat().st_size,
        "unpacked_bytes": inspection.unpacked_bytes,
        "files": inspection.files,
        "device_exit_code": inspection.code,
        "has_signature": inspection.has_signature,
        "signer": None if signer is None else {"path": signer.path.as_posix(), "key_id": signer.id},
        "release": None
        if release is None
        else {
            "name": release.name,
            "version": release.version,
            "kind": release.kind,
            "targets": [target.hardware_id for target in release.targets],
            "content_digest": release.content_digest,
            "infc_version": release.infc_version,
            "base_version": None if release.delta is None else release.delta.base_version,
        },
        "checks": [
            {
                "name": check.name,
                "verdict": "fail" if check.code else "pass",
                "device_exit_code": check.code,
                "words": check.words,
                "help": check.help or None,
            }
            for check in inspection.checks
        ],
    }


def verification_schema() -> dict[str, Any]:
    """The JSON Schema of the report."""
    text, count, verdict = {"type": "string"}, {"type": "integer", "minimum": 0}, {"enum": ["pass", "fail"]}
    code = {"type": "integer", "minimum": 0, "description": "What edge.py would exit with (docs/edge-format.md)."}
    release = object_schema(
        {
            "name": text,
            "version": text,
            "kind": {"enum": ["onnx", "llm"]},
            "targets": {"type": "array", "items": text},
            "content_digest": text,
            "infc_version": text,
            "base_version": {"type": ["string", "null"], "description": "The release that a delta was made from."},
        }
    )
    check = object_schema(
        {
            "name": {"enum": list(_CHECKS)},
            "verdict": verdict,
            "device_exit_code": code,
            "words": text,
            "help": {"type": ["string", "null"]},
        }
    )
    key_id = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "sha256 of the public key's DER."}
    bundle = object_schema(
        {
            "path": text,
            "size_bytes": count,
            "unpacked_bytes": count,
            "files": count,
            "device_exit_code": code,
            "has_signature": {"type": "boolean"},
            "signer": {"anyOf": [object_schema({"path": text, "key_id": key_id}), {"type": "null"}]},
            "release": {"anyOf": [release, {"type": "null"}]},
            "checks": {"type": "array", "items": check},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/verification.schema.json",
        "title": "infc verify",
        "description": "What `infc verify --format json` prints.",
        **object_schema(
            {
                "format_version": {"const": FORMAT_VERSION},
                "verdict": verdict,
                "bundles": {"type": "array", "items": {"anyOf": [bundle, server_bundle_schema()]}},
            }
        ),
    }
