"""Diagnostics about lowering, building and emitting."""

from infc.diag.kind import DiagnosticKind

BUILD: tuple[DiagnosticKind, ...] = ()
