"""Names of somebody else's (tensors, files, fields of objects): stable ids, and text that a terminal may print."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from infc.lock.drift.values import DriftItem

_OTHER = re.compile(r"[^a-z0-9.]+")
_MOST = 120


def slug(text: str) -> str:
    """Lower case, with every run of other characters as one hyphen; never empty.

    >>> slug("input[Token IDs].dims"), slug("///")
    ('input-token-ids-.dims', 'x')
    """
    return _OTHER.sub("-", text.lower())[:_MOST].strip("-.") or "x"


def with_own_ids(items: Iterable[DriftItem]) -> Iterator[DriftItem]:
    """The items, a number behind each id that stands a second time (names that differ in signs only)."""
    seen: dict[str, int] = {}
    for item in items:
        count = seen[item.id] = seen.get(item.id, 0) + 1
        yield item if count == 1 else replace(item, id=f"{item.id}-{count}")


def printable(text: str) -> str:
    r"""Text of somebody else's files and clusters, with a question mark for what a terminal would obey.

    >>> printable("a\x1b[2Jb")
    'a?[2Jb'
    """
    return "".join(each if each.isprintable() else "?" for each in text)
