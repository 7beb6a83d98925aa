"""Diagnostics for people: the message, the line with a caret under the exact place, notes and the fix."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic, Severity, Span

MAX_LINE_WIDTH = 140
_TAB = "    "
_MAX_SOURCE_BYTES = 4 * 1024 * 1024
_COLORS = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.NOTE: "\x1b[1;36m"}
_DIM = "\x1b[1;34m"
_BOLD = "\x1b[1m"
_RESET = "\x1b[0m"


@dataclass(frozen=True, kw_only=True)
class _Style:
    is_colored: bool

    def paint(self, code: str, text: str) -> str:
        return f"{code}{text}{_RESET}" if self.is_colored and text else text


def render_diagnostics(
    diagnostics: Iterable[Diagnostic], *, color: bool = False, sources: Mapping[str, str] | None = None
) -> str:
    """All diagnostics, separated by blank lines, without a final newline.

    The lines shown are read from the files that the spans name; `sources` (path -> text) stands in for files that are
    not on disk. A line that cannot be read is left out. Control characters never reach the terminal.
    """
    texts: dict[str, str | None] = dict(sources or {})
    style = _Style(is_colored=color)
    return "\n\n".join(_render(diagnostic, texts, style) for diagnostic in diagnostics)


def summary_line(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; empty when there is neither.

    >>> summary_line([Diagnostic(id="spec-empty", message="the spec is empty")])
    '1 error'
    """
    severities = [d.severity for d in diagnostics]
    counts = ((severities.count(s), s.value) for s in (Severity.ERROR, Severity.WARNING))
    return ", ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in counts if count)


def _render(diagnostic: Diagnostic, texts: dict[str, str | None], style: _Style) -> str:
    severity = diagnostic.severity
    head = style.paint(_COLORS[severity], f"{severity.value}[{diagnostic.id}]")
    lines = [f"{head}: {style.paint(_BOLD, printable(diagnostic.message))}"]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, diagnostic.label, severity, texts, style)
    lines += [f"{style.paint(_COLORS[Severity.NOTE], 'note')}: {printable(note)}" for note in diagnostic.notes]
    if diagnostic.help:
        lines.append(f"{style.paint(_BOLD, 'help')}: {printable(diagnostic.help)}")
    return "\n".join(lines)


def _excerpt(span: Span, label: str, severity: Severity, texts: dict[str, str | None], style: _Style) -> list[str]:
    gutter = len(str(span.line))
    where = f"{printable(span.path)}:{span.line}:{span.column}"
    arrow = f"{' ' * gutter}{style.paint(_DIM, '-->')} {where}"
    line = _source_line(span, texts)
    if line is None:
        return [arrow]
    shown, before, width = _window(line, span)
    bar = style.paint(_DIM, "|")
    caret = style.paint(_COLORS[severity], f"{'^' * width}{' ' + printable(label) if label else ''}")
    return [
        arrow,
        f"{' ' * gutter} {bar}",
        f"{style.paint(_DIM, str(span.line))} {bar} {shown}".rstrip(),
        f"{' ' * gutter} {bar} {' ' * before}{caret}",
    ]


def _source_line(span: Span, texts: dict[str, str | None]) -> str | None:
    if span.path not in texts:
        texts[span.path] = _read(Path(span.path))
    text = texts[span.path]
    if text is None:
        return None
    lines = re.split("\r\n|\r|\n", text)
    return lines[span.line - 1] if span.line <= len(lines) else None


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_SOURCE_BYTES).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return None


def _window(line: str, span: Span) -> tuple[str, int, int]:
    """The part of a line around the span: its text, the cells before the caret and the cells under it."""
    start = min(span.column - 1, len(line))
    end = len(line.rstrip()) if span.end_line > span.line else min(span.end_column - 1, len(line))
    end = max(end, start + 1)
    first = max(0, start - 60) if len(line) > MAX_LINE_WIDTH else 0
    last = first + MAX_LINE_WIDTH
    lead = "..." if first else ""
    shown = lead + _cells(line[first:last]) + ("..." if last < len(line) else "")
    before = len(lead) + _width(_cells(line[first:start]))
    width = max(1, _width(_cells(line[start : min(end, last)])))
    return shown, before, width


def _cells(text: str) -> str:
    return printable(text.replace("\t", _TAB))


def printable(text: str) -> str:
    r"""The text with everything that could move the cursor replaced, and no old command of GitHub's runner in it.

    >>> printable("a\x1b[2Jb##[debug]")
    'a\ufffd[2Jb## [debug]'
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in text).replace("##[", "## [")


def printable_lines(text: str) -> str:
    r"""The same of text that may have lines.

    >>> printable_lines("a\x07\nb")
    'a\ufffd\nb'
    """
    return "\n".join(map(printable, text.split("\n")))


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
