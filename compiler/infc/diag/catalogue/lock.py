"""Diagnostics about the lockfile."""

from infc.diag.kind import DiagnosticKind

LOCK: tuple[DiagnosticKind, ...] = ()
