"""Diagnostics about the spec file."""

from infc.diag.catalogue.spec_fields import SPEC_FIELDS
from infc.diag.catalogue.spec_rules import SPEC_RULES
from infc.diag.catalogue.spec_text import SPEC_TEXT
from infc.diag.kind import DiagnosticKind

SPEC: tuple[DiagnosticKind, ...] = (*SPEC_TEXT, *SPEC_FIELDS, *SPEC_RULES)
