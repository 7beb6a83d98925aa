"""The core schema of YAML 1.2: which plain scalars are not text.

Not YAML 1.1: `on`, `yes` and `12:30` are text, `1e3` is a number, octal is `0o17`.
Source: YAML 1.2.2, section 10.3.2.
"""

import math
import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_MAX_EXACT_DIGITS = 300


def scalar_value(text: str) -> Scalar:
    """What a plain (unquoted, untagged) scalar means.

    >>> [scalar_value(t) for t in ("on", "12:30", "1e3", "0o17", "007", "~", "TRUE")]
    ['on', '12:30', 1000.0, 15, 7, None, True]
    """
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] not in "-+.0123456789":
        return text
    return _number(text)


def _number(text: str) -> Scalar:
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return -math.inf if infinity.group(1) == "-" else math.inf
    if text in _NAN:
        return math.nan
    if len(text) > _MAX_EXACT_DIGITS and _FLOAT.fullmatch(text):
        return float(text)
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16) if len(text) <= _MAX_EXACT_DIGITS else math.inf
    return float(text) if _FLOAT.fullmatch(text) else text


CORE_TAGS = {
    "tag:yaml.org,2002:str": "str",
    "tag:yaml.org,2002:int": "int",
    "tag:yaml.org,2002:float": "float",
    "tag:yaml.org,2002:bool": "bool",
    "tag:yaml.org,2002:null": "null",
    "tag:yaml.org,2002:map": "map",
    "tag:yaml.org,2002:seq": "seq",
    "!": "str",
}
"""The tags of the core schema (`!!str` and so on, and the non-specific `!`)."""
