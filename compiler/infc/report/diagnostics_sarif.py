"""Diagnostics as SARIF 2.1.0, for GitHub code scanning and other viewers.

Source: OASIS SARIF 2.1.0; GitHub's "SARIF support for code scanning" for the fields it needs.
"""

import hashlib
import json
import urllib.parse
from collections.abc import Iterable

from infc import __version__
from infc.diag import Diagnostic, Severity, Span
from infc.diag.catalogue import find_kind
from infc.report.diagnostics_text import printable_lines

SARIF_VERSION = "2.1.0"
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_NOWHERE = Span(path="infc.lock", line=1, column=1, end_line=1, end_column=2)
"""The place of what has none: code scanning refuses a whole log for one result without a location."""
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def diagnostics_sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """The SARIF log as JSON text: one run, one rule per id that was found."""
    found = tuple(diagnostics)
    ids = sorted({d.id for d in found})
    run = {
        "tool": {
            "driver": {
                "name": "infc",
                "semanticVersion": __version__,
                "informationUri": "https://infc.dev",
                "rules": [_rule(id) for id in ids],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": _results(found, ids),
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": SARIF_VERSION, "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(id: str) -> dict[str, object]:
    kind = find_kind(id)
    title = kind.title if kind else id
    what = f"{kind.what} {kind.why}" if kind else id
    fix = kind.fix if kind else "See `infc explain`."
    markdown = f"{kind.fix}\n\n```\n{kind.example}\n```\n\nSee `infc explain {id}`." if kind else fix
    return {
        "id": id,
        "name": "".join(part.capitalize() for part in id.split("-")),
        "shortDescription": {"text": title},
        "fullDescription": {"text": what},
        "help": {"text": fix, "markdown": markdown},
        "properties": {"tags": ["infc"]},
    }


def _results(found: tuple[Diagnostic, ...], ids: list[str]) -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    for diagnostic in found:
        text = ". ".join(part for part in (diagnostic.message, diagnostic.label, *diagnostic.notes) if part)
        said = printable_lines(f"{text}. Help: {diagnostic.help}" if diagnostic.help else text)
        result: dict[str, object] = {
            "ruleId": diagnostic.id,
            "ruleIndex": ids.index(diagnostic.id),
            "level": _LEVELS[diagnostic.severity],
            "message": {"text": said},
            "locations": [_location(diagnostic.span or _NOWHERE)],
            "partialFingerprints": {"infc/v1": fingerprint(diagnostic)},
        }
        results.append(result)
    return results


def _location(span: Span) -> dict[str, object]:
    is_relative = not span.path.startswith("/")
    artifact: dict[str, object] = {
        "uri": urllib.parse.quote(span.path if is_relative else f"file://{span.path}", safe="/:")
    }
    if is_relative:
        artifact["uriBaseId"] = "%SRCROOT%"
    region: dict[str, int] = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def fingerprint(diagnostic: Diagnostic) -> str:
    """What makes the same problem recognisable when lines move: its id, file and message."""
    path = diagnostic.span.path if diagnostic.span else ""
    return hashlib.sha256("\n".join((diagnostic.id, path, diagnostic.message)).encode()).hexdigest()[:32]
