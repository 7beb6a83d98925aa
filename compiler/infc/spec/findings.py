"""What a check across fields found: the paths it looked at, and the words."""

from dataclasses import dataclass

from infc.diag import Diagnostic, Severity
from infc.spec.source_map import SourceMap


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A problem between fields: the caret goes under the first path; dropped when one of the paths is itself wrong."""

    id: str
    paths: tuple[str, ...]
    message: str
    help: str
    label: str = ""
    notes: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR
    is_about_key: bool = False

    def diagnostic(self, source: SourceMap) -> Diagnostic:
        """The finding at its place in the text."""
        path = self.paths[0]
        return Diagnostic(
            id=self.id,
            severity=self.severity,
            message=self.message,
            span=source.key_span(path) if self.is_about_key else source.span(path),
            label=self.label,
            notes=self.notes,
            help=self.help,
        )
