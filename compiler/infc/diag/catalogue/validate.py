"""Diagnostics about load tests."""

from infc.diag.kind import DiagnosticKind

VALIDATE: tuple[DiagnosticKind, ...] = ()
