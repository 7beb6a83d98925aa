"""Diagnostics: the value, the catalogue of ids, and the exceptions. Everything may import this; it imports nothing."""

from infc.diag.diagnostic import Diagnostic, Severity, Span, has_errors
from infc.diag.errors import DiagnosticError, InternalError, ToolError

__all__ = ["Diagnostic", "DiagnosticError", "InternalError", "Severity", "Span", "ToolError", "has_errors"]
