"""Stable ids of what has a name of somebody else's: tensors, files, fields of objects."""

import re

_OTHER = re.compile(r"[^a-z0-9.]+")
_MOST = 120


def slug(text: str) -> str:
    """Lower case, with every run of other characters as one hyphen; never empty.

    >>> slug("input[Token IDs].dims"), slug("///")
    ('input-token-ids-.dims', 'x')
    """
    return _OTHER.sub("-", text.lower())[:_MOST].strip("-.") or "x"
