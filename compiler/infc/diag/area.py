"""One area of the catalogue of diagnostics."""

from dataclasses import dataclass

from infc.diag.kind import DiagnosticKind


@dataclass(frozen=True, kw_only=True)
class Area:
    """Diagnostics about one thing, and the commands that print them, the most usual ones first."""

    title: str
    commands: tuple[str, ...]
    kinds: tuple[DiagnosticKind, ...]
