"""The diagnostic value: one problem, where it is, and how to fix it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a diagnostic is; only `ERROR` stops a command."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True, order=True)
class Span:
    """A range in a text file. Lines and columns count from 1; the end is exclusive."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One problem found in what the user wrote or asked for.

    `id` is a kebab-case id of `infc.diag.catalogue`; `message` is one terse sentence without a full stop;
    `label` stands beside the caret; facts go to `notes`; `help` says how to fix it.
    """

    id: str
    severity: Severity = Severity.ERROR
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    help: str | None = None


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any diagnostic is an error."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
