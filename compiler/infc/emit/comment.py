"""Comments in emitted files: text that nothing can break out of."""

import unicodedata
from collections.abc import Iterable, Iterator

_WIDTH = 118


def comment_lines(texts: Iterable[str]) -> Iterator[str]:
    r"""Each text as one or more `# ` lines of at most 118 characters; control characters and line breaks become spaces.

    >>> list(comment_lines(["two\n}lines", ""]))
    ['# two }lines\n', '#\n']
    """
    import textwrap

    for text in texts:
        clean = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).strip()
        indent = "#   " if clean.startswith("- ") else "# "
        wrapped = textwrap.wrap(clean, _WIDTH, initial_indent="# ", subsequent_indent=indent, break_on_hyphens=False)
        yield from (line + "\n" for line in wrapped or ["#"])
