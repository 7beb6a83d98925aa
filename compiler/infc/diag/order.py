"""The order in which diagnostics are shown."""

from collections.abc import Iterable

from infc.diag.diagnostic import Diagnostic


def in_text_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Each once: those without a place first, then file by file (in order of first appearance) and top to bottom."""
    unique = tuple(dict.fromkeys(diagnostics))
    files = {path: index for index, path in enumerate(dict.fromkeys(d.span.path for d in unique if d.span))}

    def place(diagnostic: Diagnostic) -> tuple[int, int, int]:
        span = diagnostic.span
        return (files[span.path], span.line, span.column) if span else (-1, 0, 0)

    return tuple(sorted(unique, key=place))
