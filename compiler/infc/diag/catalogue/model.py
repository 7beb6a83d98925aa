"""Diagnostics about the model file."""

from infc.diag.kind import DiagnosticKind

MODEL: tuple[DiagnosticKind, ...] = ()
