"""The YAML parser's complaints in the words of someone who writes a spec."""

import yaml

from infc.diag import Diagnostic, Span
from infc.spec.source_text import file_start

_RULES: tuple[tuple[str, str, str], ...] = (
    # (part of the parser's message, our message, the fix)
    ("'\\t' that cannot start", "a tab cannot indent YAML", "indent with spaces"),
    ("tab character", "a tab cannot indent YAML", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a key cannot start here",
        "check the indentation, or quote the value if it holds `: `",
    ),
    ("could not find expected ':'", "a key without its colon", "write `key: value`, with a colon and a space"),
    ("expected ',' or ']'", "the list is not closed", "close it with `]` and put commas between its items"),
    ("expected ',' or '}'", "the mapping is not closed", "close it with `}` and put commas between its keys"),
    ("expected '-' indicator", "this line does not fit the list above it", "indent it like the line above"),
    ("expected <block end>", "this line does not fit the block above it", "indent it like the line above"),
    ("expected key", "this line does not fit the block above it", "indent it like the line above"),
    ("unexpected end of stream", "a quoted text is not closed", "close the quote"),
    ("unexpected document indicator", "a quoted text is not closed", "close the quote"),
    ("cannot start any token", "a plain value cannot start with this character", "put the value in quotes"),
    ("unknown escape character", "an unknown escape in a quoted text", "use single quotes, or double the backslash"),
    ("undefined tag handle", "an unknown tag", "remove the tag"),
    ("block sequence entries are not allowed", "a list item cannot start here", "start the list on a line of its own"),
    ("expected the node content", "a value is missing here", "write the value after the colon"),
)
_CONTEXTS = ("while parsing a ", "while scanning a ")


def syntax_error(error: yaml.YAMLError, text: str, shown: str) -> Diagnostic:
    """The diagnostic of a parser error, at the place that the parser complains about."""
    problem = str(getattr(error, "problem", None) or "").strip()
    message, help = f"not valid YAML: {problem}" if problem else "not valid YAML", "check the syntax of this line"
    for part, our_message, fix in _RULES:
        if part in problem:
            message, help = our_message, fix
            break
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return Diagnostic(id="spec-syntax", message=message, span=file_start(shown), help=help)
    span = _span(mark, text, shown)
    if text[mark.index : mark.index + 1] == "\t":
        message, help = "a tab cannot indent YAML", "indent with spaces"
    context = str(getattr(error, "context", None) or "")
    context_mark = getattr(error, "context_mark", None)
    part = next((c.removeprefix(w) for w in _CONTEXTS for c in (context,) if c.startswith(w)), "")
    notes: tuple[str, ...] = ()
    if part and context_mark is not None and context_mark.line < mark.line:
        notes = (f"the {part} starts at line {context_mark.line + 1}",)
    return Diagnostic(id="spec-syntax", message=message, span=span, notes=notes, help=help)


def _span(mark: yaml.Mark, text: str, shown: str) -> Span:
    """The mark, pulled back to the last line with text when it stands behind the end of the file."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line, column = mark.line, mark.column
    while line >= len(lines) or (line > 0 and not lines[line].strip() and line == len(lines) - 1):
        line -= 1
        column = len(lines[line]) if line < len(lines) else 0
    return Span(path=shown, line=line + 1, column=column + 1, end_line=line + 1, end_column=column + 2)
