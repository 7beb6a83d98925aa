"""Numbers and intervals as the JSON reports write them."""

from typing import TypeAlias

from infc.ir.interval import Interval

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_DIGITS = 6


def number(value: float) -> float:
    """Six significant digits: more would only be noise of the arithmetic.

    >>> number(0.123456789)
    0.123457
    """
    return float(f"{value:.{_DIGITS}g}")


def optional(value: float | None) -> float | None:
    """The number, or null where there is none."""
    return None if value is None else number(value)


def interval_json(interval: Interval) -> dict[str, Json]:
    """Value, low and high."""
    return {"value": number(interval.value), "low": number(interval.low), "high": number(interval.high)}
