"""Diagnostics as GitHub workflow commands: annotations on the changed lines of a pull request.

Source: GitHub Docs, "Workflow commands for GitHub Actions": properties escape %, CR, LF, colon and comma; GitHub's
actions/toolkit, docs/problem-matchers.md, for how many annotations of a kind one step keeps.
"""

from collections.abc import Iterable

from infc.diag import Diagnostic, Severity
from infc.report.diagnostics_text import printable_lines

KEPT_PER_STEP = 10
"""Annotations of each severity that GitHub keeps of a step."""
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def diagnostics_github(diagnostics: Iterable[Diagnostic]) -> str:
    """One workflow command a line, without a final newline; empty when there is nothing to say."""
    return "\n".join(_command(diagnostic) for diagnostic in diagnostics)


def first_of_each_severity(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """As many of each severity as GitHub keeps of a step; where there are more, the last one counts them."""
    found = tuple(diagnostics)
    kept: list[Diagnostic] = []
    for severity in Severity:
        same = [diagnostic for diagnostic in found if diagnostic.severity is severity]
        if len(same) <= KEPT_PER_STEP:
            kept += same
            continue
        kept += same[: KEPT_PER_STEP - 1]
        more = f"{len(same) - KEPT_PER_STEP + 1} more {severity.value}s like this in the SARIF and the plan's artifact"
        kept.append(Diagnostic(id=same[KEPT_PER_STEP - 1].id, severity=severity, message=more))
    return tuple(kept)


def _command(diagnostic: Diagnostic) -> str:
    properties = {"title": diagnostic.id}
    span = diagnostic.span
    if span is not None:
        properties = {"file": span.path, "line": str(span.line), "col": str(span.column), **properties}
        if span.end_line == span.line:
            properties["endColumn"] = str(span.end_column)
    parts = [diagnostic.message, diagnostic.label, *diagnostic.notes]
    parts += [f"help: {diagnostic.help}"] if diagnostic.help else []
    message = _escaped(printable_lines("\n".join(part for part in parts if part)))
    joined = ",".join(f"{key}={_escaped_property(printable_lines(value))}" for key, value in properties.items())
    return f"::{_COMMANDS[diagnostic.severity]} {joined}::{message}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
