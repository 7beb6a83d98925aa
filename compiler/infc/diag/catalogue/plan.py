"""Diagnostics about planning."""

from infc.diag.kind import DiagnosticKind

PLAN: tuple[DiagnosticKind, ...] = ()
