"""How text reports are laid out: two spaces of indentation, labels in a column, tables without lines, 98 columns."""

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import click

WIDTH = 98
INDENT = "  "
LABEL = 12

_COMMAND = re.compile(r"^(\s*):(?=:)|##(?=\[)")

Style: TypeAlias = Callable[[str, str], str]
"""(kind, text) -> text: kind is `bold`, `dim` or a color."""


def style_for(*, color: bool) -> Style:
    """Colors and weights for a terminal, or the text as it is."""
    return _colored if color else _plain


def heading(text: str, style: Style) -> str:
    """A title over rows."""
    return f"{INDENT}{style('bold', inert(text))}"


def row(name: str, text: str, style: Style) -> str:
    """A label and what it says, on one line."""
    return f"{INDENT}{style('dim', f'{name:<{LABEL}}')}{inert(text)}"


def wrapped_row(name: str, text: str, style: Style) -> Iterator[str]:
    """A label and what it says, over as many lines as it takes."""
    first, *rest = textwrap.wrap(text, WIDTH - LABEL - len(INDENT), break_on_hyphens=False) or [""]
    yield row(name, first, style)
    yield from (" " * (LABEL + len(INDENT)) + inert(line) for line in rest)


def bullets(sentences: Sequence[str]) -> Iterator[str]:
    """One wrapped item a sentence."""
    for sentence in sentences:
        lines = textwrap.wrap(
            sentence, WIDTH, initial_indent=f"{INDENT * 2}- ", subsequent_indent=INDENT * 3, break_on_hyphens=False
        )
        yield from map(inert, lines)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells in columns as wide as their widest one; colors do not count."""
    widths = [max(len(click.unstyle(cells[column])) for cells in rows) for column in range(len(rows[0]))]
    for cells in rows:
        padded = (cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(cells, widths, strict=True))
        yield inert((INDENT * 2 + "  ".join(padded)).rstrip())


def inert(line: str) -> str:
    """A line that no CI system takes for a command, whoever's words it holds.

    GitHub's runner reads `::name::` where a line starts, blanks skipped, and `##[name]` anywhere; what else is in a
    log is no line of ours. Source: actions/runner, ActionCommand.TryParseV2 and TryParse.

    >>> inert("      ::error::owned ##[debug]")
    '      : :error::owned ## [debug]'
    """
    return _COMMAND.sub(lambda match: match.group() + " ", line)


def _colored(kind: str, text: str) -> str:
    match kind:
        case "bold":
            return click.style(text, bold=True)
        case "dim":
            return click.style(text, dim=True)
        case _:
            return click.style(text, fg=kind)


def _plain(_kind: str, text: str) -> str:
    return text
