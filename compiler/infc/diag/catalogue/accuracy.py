"""Diagnostics about accuracy data and verdicts."""

from infc.diag.kind import DiagnosticKind

ACCURACY: tuple[DiagnosticKind, ...] = ()
