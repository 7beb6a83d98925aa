"""One row of the catalogue of diagnostics."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DiagnosticKind:
    """What `infc explain ID` prints, and what SARIF rules say.

    `id` is kebab-case and stable for ever. `title` is a short phrase; `what` says what is wrong, `why` why infc cares;
    `example` is input or output that shows it; `fix` is what to do. Texts are plain sentences.
    """

    id: str
    title: str
    what: str
    why: str
    example: str
    fix: str
