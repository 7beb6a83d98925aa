"""Requests as a format's reader hands them on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

PROMPT = "prompt_tokens"
OUTPUT = "output_tokens"
_LARGEST_TIME = 1e20
_LARGEST_SIZE = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Times in seconds, in the order of the file, and sizes of as many requests by column.

    `zone_s` is what leads from the times to the local time of day, modulo a day (None: the times have no date).
    `has_meant_ties`: equal times mean simultaneous requests; else they may come from rounding.
    """

    format: str
    times_s: list[float]
    sizes: Mapping[str, list[int]]
    zone_s: float | None
    has_meant_ties: bool


def seconds(text: str | float | int) -> float | None:
    """A number of seconds; None where it is none, not finite, or beyond use.

    >>> seconds("12.5"), seconds("noon"), seconds("nan")
    (12.5, None, None)
    """
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and abs(value) <= _LARGEST_TIME else None


def whole(text: str | float | int) -> int | None:
    """A whole number from 0 on; None where it is none.

    >>> whole("12"), whole("12.0"), whole("1.5"), whole("-1")
    (12, 12, None, None)
    """
    try:
        value = int(text) if isinstance(text, str) else float(text)
    except (ValueError, OverflowError):
        found = seconds(text)
        if found is None:
            return None
        value = found
    return int(value) if 0 <= value <= _LARGEST_SIZE and value == int(value) else None
