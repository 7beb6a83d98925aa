"""Diagnostics as a GitLab Code Quality report.

Source: GitLab Docs, "Code Quality report format".
"""

import hashlib
import json
from collections.abc import Iterable

from infc.diag import Diagnostic, Severity
from infc.report.diagnostics_sarif import fingerprint
from infc.report.diagnostics_text import printable_lines

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTE: "info"}


def diagnostics_codequality(diagnostics: Iterable[Diagnostic]) -> str:
    """The report as JSON text; fingerprints are unique within it, as GitLab wants."""
    seen: dict[str, int] = {}
    issues: list[dict[str, object]] = []
    for diagnostic in diagnostics:
        base = fingerprint(diagnostic)
        seen[base] = seen.get(base, 0) + 1
        unique = base if seen[base] == 1 else hashlib.sha256(f"{base}{seen[base]}".encode()).hexdigest()[:32]
        help = f" ({diagnostic.help})" if diagnostic.help else ""
        issues.append(
            {
                "description": printable_lines(f"{diagnostic.message}{help}"),
                "check_name": diagnostic.id,
                "fingerprint": unique,
                "severity": _SEVERITIES[diagnostic.severity],
                "location": {
                    "path": diagnostic.span.path if diagnostic.span else "infc",
                    "lines": {"begin": diagnostic.span.line if diagnostic.span else 1},
                },
            }
        )
    return json.dumps(issues, indent=2, ensure_ascii=False)
