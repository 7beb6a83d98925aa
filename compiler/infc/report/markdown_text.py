"""Text of others in Markdown: whatever it holds, it is shown as it is and does nothing.

GitHub and GitLab link mentions (`@team`), references (`#12`, `!3`, `%4`), addresses and emoji in the rendered text,
after Markdown's own escapes are gone; a zero-width space inside keeps them plain.

Source: GitHub Flavored Markdown 0.29, sections 6.1, 6.3 and 6.9; GitHub Docs, "Autolinked references and URLs" and
"Writing mathematical expressions" (a dollar sign outside of them is written in a span); GitLab Docs, "GitLab-specific
references".
"""

import html
import re

from infc.report.diagnostics_text import printable

LONGEST_TEXT = 300
"""Characters of one text of others; the rest is cut, for a name of a megabyte must not push the others out."""
_BREAK = "&#8203;"
_BACKSLASH = frozenset("\\`*_[]|~")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "$": "<span>$</span>"}
_BEFORE_WORD = re.compile(r"[@#!%~&^](?=[\w\"'{])|:(?=\S)|\bwww(?=\.)|\bGH(?=-\d)", re.IGNORECASE)
_LINKS_IN_CODE = re.compile(r":(?=//)|@(?=\S)|\bwww(?=\.)", re.IGNORECASE)
_LIST_MARK = re.compile(r"([-+=]|\d{1,9}[.)])(?=\s|$|[-+=])")


def plain(text: str) -> str:
    r"""One line without control characters, at most `LONGEST_TEXT` long.

    >>> plain("two\nlines")
    'two lines'
    """
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 3]}..."


def inline(text: str) -> str:
    r"""Words as they are, in a paragraph, an item of a list or a cell of a table.

    >>> inline("ask @team, see #12 | **now**")
    'ask @&#8203;team, see #&#8203;12 \\| \\*\\*now\\*\\*'
    >>> inline("$5 <script>")
    '<span>$</span>5 &lt;script&gt;'
    """
    line = plain(text)
    breaks = {match.end() for match in _BEFORE_WORD.finditer(line)}
    mark = _LIST_MARK.match(line)
    is_escaped = mark.end() - 1 if mark else -1
    parts = []
    for index, sign in enumerate(line):
        escaped = f"\\{sign}" if sign in _BACKSLASH or index == is_escaped else _ENTITIES.get(sign, sign)
        parts.append(escaped + (_BREAK if index + 1 in breaks else ""))
    return "".join(parts)


def code(text: str) -> str:
    """A name, a path or a digest as code: a code span, or where one would not do (`|`, a backtick) a code element.

    >>> code("specs/a.infc.yaml"), code("a|b")
    ('`specs/a.infc.yaml`', '<code>a&#124;b</code>')
    """
    line = plain(text)
    if line and "|" not in line and "`" not in line and line == line.strip():
        return f"`{line}`"
    return code_element(line)


def code_element(text: str) -> str:
    """The same as HTML, for a cell, or for a line that is HTML itself.

    >>> code_element("a*b@c")
    '<code>a&#42;b&#64;&#8203;c</code>'
    """
    line = plain(text)
    breaks = {match.end() for match in _LINKS_IN_CODE.finditer(line)}
    parts = (_entity(sign) + (_BREAK if index + 1 in breaks else "") for index, sign in enumerate(line))
    return f"<code>{''.join(parts)}</code>"


def html_words(text: str) -> str:
    """Words inside a line that is HTML, where Markdown is not read.

    >>> html_words("2 < 3 & @team")
    '2 &lt; 3 &amp; @&#8203;team'
    """
    line = plain(text)
    breaks = {match.end() for match in _BEFORE_WORD.finditer(line)}
    parts = (html.escape(sign) + (_BREAK if index + 1 in breaks else "") for index, sign in enumerate(line))
    return "".join(parts)


def _entity(sign: str) -> str:
    return sign if sign.isalnum() or sign in " -./,=" or ord(sign) > 127 else f"&#{ord(sign)};"
