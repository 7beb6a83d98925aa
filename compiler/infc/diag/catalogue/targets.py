"""Diagnostics about hardware and prices."""

from infc.diag.kind import DiagnosticKind

TARGETS: tuple[DiagnosticKind, ...] = ()
