"""Diagnostics about the spec file."""

from infc.diag.kind import DiagnosticKind

SPEC: tuple[DiagnosticKind, ...] = ()
