"""Amounts of money and what turns them into hourly cost: `$30000`, `$0.12/kWh`, `4y`.

`ir/quantity.py` has the quantities of a spec in general, and money per time among them.
"""

import re
from typing import NoReturn

from infc.ir.quantity import QuantityError, is_number

_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
USD_PATTERN = rf"^\$ ?{_NUMBER}$"
USD_PER_KWH_PATTERN = rf"^\$ ?{_NUMBER}/kWh$"
YEARS_PATTERN = rf"^{_NUMBER} ?(y|months)$"
_MONTHS_PER_YEAR = 12.0
_MOST_USD, _MOST_USD_PER_KWH, _MOST_YEARS, _MOST_RATIO = 1e9, 100.0, 50.0, 1000.0
_LIKELY_SHARE = 10.0
"""A bare number up to this is read as a share, above it as a percentage, when the fix is shown."""


def parse_usd(value: object) -> float:
    """US dollars of an amount without a period; greater than zero.

    >>> parse_usd("$30000"), parse_usd("$0.0025")
    (30000.0, 0.0025)
    """
    number = _matched(value, rf"\s*\$\s*({_NUMBER})\s*", "an amount of money", "$30000", "$")
    return _within(number, _MOST_USD, "an amount of money")


def parse_usd_per_kwh(value: object) -> float:
    """US dollars per kilowatt hour; greater than zero.

    >>> parse_usd_per_kwh("$0.12/kWh")
    0.12
    """
    number = _matched(value, rf"\s*\$\s*({_NUMBER})\s*/\s*kWh\s*", "a price of electricity", "$0.12/kWh", "$", "/kWh")
    return _within(number, _MOST_USD_PER_KWH, "a price of electricity")


def parse_years(value: object) -> float:
    """Years of a life time, from years or months; greater than zero.

    >>> parse_years("4y"), parse_years("30 months")
    (4.0, 2.5)
    """
    months = re.fullmatch(rf"\s*({_NUMBER})\s*months\s*", value) if isinstance(value, str) else None
    if months is not None:
        return _within(float(months.group(1)) / _MONTHS_PER_YEAR, _MOST_YEARS, "a life time")
    number = _matched(value, rf"\s*({_NUMBER})\s*y\s*", "a life time", "4y", "", "y")
    return _within(number, _MOST_YEARS, "a life time")


def parse_ratio(value: object) -> float:
    """A percentage that may be above 100%, as a number; greater than zero.

    >>> parse_ratio("80%"), parse_ratio("150%")
    (0.8, 1.5)
    """
    if is_number(value):
        number = float(value)  # type: ignore[arg-type]
        percent = number * 100 if number <= _LIKELY_SHARE else number
        raise QuantityError("a percentage needs its % sign", help=f"write {percent:.12g}%")
    number = _matched(value, rf"\s*({_NUMBER})\s*%\s*", "a percentage", "80%", "", "%")
    return _within(number / 100.0, _MOST_RATIO, "a percentage")


def _matched(value: object, pattern: str, kind: str, example: str, before: str, after: str = "") -> float:
    """The number of a text that matches; the error of anything else shows the text that would."""
    if is_number(value):
        raise QuantityError(f"{kind} needs its unit", help=f"write {before}{float(value):.12g}{after}")  # type: ignore[arg-type]
    if not isinstance(value, str):
        _refuse(f"expected {kind}, found something else", example)
    match = re.fullmatch(pattern, value)
    if match is not None:
        return float(match.group(1))
    shown = value if len(value) <= 40 else value[:37] + "..."
    number = re.search(_NUMBER, value.replace(",", ""))
    is_negative = value.strip().lstrip("$").strip().startswith("-")
    if number is None or is_negative:
        _refuse(f"`{shown}` is not {kind}", example)
    amount = float(number.group()) / (100.0 if re.search(r"\bct|cent|¢", value) else 1.0)
    raise QuantityError(f"`{shown}` is not {kind}", help=f"write {before}{amount:.12g}{after}")


def _refuse(message: str, example: str) -> NoReturn:
    raise QuantityError(message, help=f"write something like {example}")


def _within(number: float, most: float, kind: str) -> float:
    if number <= 0:
        raise QuantityError(f"{kind} must be greater than zero", help="write a number greater than zero")
    if number > most:
        raise QuantityError(f"{number:g} is too large for {kind}", help=f"write at most {most:g}")
    return number
