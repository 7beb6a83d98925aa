"""What `infc sign` did, as text and as JSON (`schemas/signed.schema.json`)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infc.ir.edge_release import EdgeRelease
from infc.ir.json_schema import object_schema
from infc.report.server_bundles import server_signed_bundle_schema

FORMAT_VERSION = "1.0"


@dataclass(frozen=True, kw_only=True)
class Signed:
    """One archive that is signed now, by which key, and the files that it was wrapped into.

    `sums_digest` is the sha256 in hex of `SHA256SUMS`: what the signature is over.
    """

    archive: Path
    release: EdgeRelease
    key_id: str
    sums_digest: str
    wrapped: tuple[Path, ...] = ()


def render_signed_text(signed: Sequence[Signed]) -> str:
    """A line for each archive, and one for each file that it was wrapped into."""
    return "\n".join(line for each in signed for line in _lines(each))


def _lines(signed: Signed) -> Iterator[str]:
    release = signed.release
    yield f"{signed.archive}: {release.name} {release.version}, signed by key {signed.key_id[:16]}"
    for path in signed.wrapped:
        yield f"{path}: the signed archive, wrapped"


def signed_json(signed: Sequence[Signed]) -> str:
    """The report as JSON text."""
    document = {
        "format_version": FORMAT_VERSION,
        "bundles": [
            {
                "path": each.archive.as_posix(),
                "name": each.release.name,
                "version": each.release.version,
                "content_digest": each.release.content_digest,
                "sums_digest": f"sha256:{each.sums_digest}",
                "key_id": each.key_id,
                "wrapped": [path.as_posix() for path in each.wrapped],
            }
            for each in signed
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def signed_schema() -> dict[str, Any]:
    """The JSON Schema of the report."""
    text = {"type": "string"}
    bundle = object_schema(
        {
            "path": text,
            "name": text,
            "version": text,
            "content_digest": text,
            "sums_digest": {**text, "description": "Of SHA256SUMS, which the signature is over."},
            "key_id": {**text, "pattern": "^[0-9a-f]{64}$", "description": "sha256 of the public key's DER."},
            "wrapped": {"type": "array", "items": text, "description": "Files for update agents."},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/signed.schema.json",
        "title": "infc sign",
        "description": "What `infc sign --format json` prints.",
        **object_schema(
            {
                "format_version": {"const": FORMAT_VERSION},
                "bundles": {"type": "array", "items": {"anyOf": [bundle, server_signed_bundle_schema()]}},
            }
        ),
    }
