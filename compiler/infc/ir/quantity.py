"""Quantities as people write them (`20ms`, `300/s`, `24GiB`, `15W`, `$3000/month`, `99.9%`) and their base units.

Every parser takes the YAML value, returns the number in the base unit, and raises `QuantityError` with the fix.
A bare number is never guessed at: the error shows it with the likely unit.
"""

import math
import re
from collections.abc import Mapping

HOURS_PER_MONTH = 730.0
"""Hours in the month that cloud price books bill by (8760 / 12)."""
HOURS_PER_YEAR = 8760.0

_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_DURATION_UNITS: Mapping[str, float] = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
}
_RATE_UNITS: Mapping[str, float] = {"/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600, "/day": 1 / 86400}
_BYTE_UNITS: Mapping[str, float] = {
    "B": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "TiB": 2.0**40,
}
_POWER_UNITS: Mapping[str, float] = {"mW": 1e-3, "W": 1.0, "kW": 1e3}
_TEMPERATURE_UNITS: Mapping[str, float] = {"C": 1.0}
_MONEY_UNITS: Mapping[str, float] = {
    "/hour": 1.0,
    "/day": 1 / 24,
    "/month": 1 / HOURS_PER_MONTH,
    "/year": 1 / HOURS_PER_YEAR,
}
_SPELLINGS: Mapping[str, str] = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "msec": "ms",
    "millis": "ms",
    "milliseconds": "ms",
    "usec": "us",
    "microseconds": "us",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
    "m": "min",
    "μs": "us",
    "rps": "/s",
    "qps": "/s",
    "req/s": "/s",
    "requests/s": "/s",
    "/sec": "/s",
    "/second": "/s",
    "rpm": "/min",
    "/m": "/min",
    "/minute": "/min",
    "/hour": "/h",
    "/d": "/day",
    "Gi": "GiB",
    "Mi": "MiB",
    "Ki": "KiB",
    "Ti": "TiB",
    "G": "GB",
    "M": "MB",
    "K": "kB",
    "KB": "kB",
    "gb": "GB",
    "gib": "GiB",
    "mb": "MB",
    "mib": "MiB",
    "bytes": "B",
    "w": "W",
    "watt": "W",
    "watts": "W",
    "Watt": "W",
    "KW": "kW",
    "kw": "kW",
    "°C": "C",
    "celsius": "C",
    "/h": "/hour",
    "/hr": "/hour",
    "/mo": "/month",
    "/y": "/year",
    "/yr": "/year",
}
_LARGEST: Mapping[str, tuple[float, str]] = {
    "duration": (86400.0, "24h"),
    "rate": (1e8, "100000000/s"),
    "size": (2.0**50, "1024TiB"),
    "power": (1e6, "1000kW"),
    "cost": (1e7, "$10000000/hour"),
    "temperature": (150.0, "150C"),
}
"""No deployment is larger than this; a larger number is a slip of the finger."""
_SPLIT = re.compile(rf"^\s*({_NUMBER})\s*(.*?)\s*$")
_MONEY = re.compile(rf"^\s*\$\s*({_NUMBER})\s*(/[a-z]+)\s*$")

DURATION_PATTERN = rf"^{_NUMBER} ?(ns|us|µs|ms|s|min|h)$"
RATE_PATTERN = rf"^{_NUMBER} ?/(s|min|h|day)$"
BYTES_PATTERN = rf"^{_NUMBER} ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
POWER_PATTERN = rf"^{_NUMBER} ?(mW|W|kW)$"
TEMPERATURE_PATTERN = rf"^{_NUMBER} ?C$"
MONEY_PATTERN = rf"^\$ ?{_NUMBER}/(hour|day|month|year)$"
PERCENT_PATTERN = rf"^{_NUMBER} ?%$"
PERCENTILE_PATTERN = r"^p(?:[1-9][0-9]?|0|[0-9]{1,2}\.[0-9]{1,4})$"


class QuantityError(ValueError):
    """The text is not a quantity of the asked kind. `help` shows the fix."""

    def __init__(self, message: str, *, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def parse_duration_s(value: object) -> float:
    """Seconds of a duration; greater than zero.

    >>> parse_duration_s("25ms"), parse_duration_s("1.5 s"), parse_duration_s("250us")
    (0.025, 1.5, 0.00025)
    """
    return _parse(value, _DURATION_UNITS, kind="duration", example="20ms", default_unit="ms")


def parse_rate_rps(value: object) -> float:
    """Events per second of a rate; greater than zero.

    >>> parse_rate_rps("300/s"), parse_rate_rps("600/min")
    (300.0, 10.0)
    """
    return _parse(value, _RATE_UNITS, kind="rate", example="300/s", default_unit="/s")


def parse_bytes(value: object) -> float:
    """Bytes of a size; GB is 10^9, GiB is 2^30.

    >>> parse_bytes("24GiB") - parse_bytes("24GB")
    1769803776.0
    """
    return _parse(value, _BYTE_UNITS, kind="size", example="24GiB", default_unit="GiB")


def parse_power_w(value: object) -> float:
    """Watts of a power.

    >>> parse_power_w("15W"), parse_power_w("1.2kW")
    (15.0, 1200.0)
    """
    return _parse(value, _POWER_UNITS, kind="power", example="15W", default_unit="W")


def parse_temperature_c(value: object) -> float:
    """Degrees Celsius of a temperature; above zero.

    >>> parse_temperature_c("85C"), parse_temperature_c("97.5 C")
    (85.0, 97.5)
    """
    return _parse(value, _TEMPERATURE_UNITS, kind="temperature", example="85C", default_unit="C")


def parse_usd_per_hour(value: object) -> float:
    """US dollars per hour of a cost rate; a month is 730 hours, a year 8760.

    >>> parse_usd_per_hour("$730/month"), parse_usd_per_hour("$2.50/hour")
    (1.0, 2.5)
    """
    example = "$3000/month"
    if is_number(value):
        raise QuantityError("a cost needs its currency and period", help=f"write ${_plain(value)}/month")
    if not isinstance(value, str):
        raise _wrong_type(value, "cost", example)
    match = _MONEY.match(value)
    if match is None:
        raise QuantityError(_not_a(value, "cost"), help=_money_help(value))
    number, unit = match.groups()
    canonical = _canonical(unit, _MONEY_UNITS)
    if canonical is None:
        raise QuantityError(f"unknown period `{unit}` in a cost", help=f"write ${number}/hour, /day, /month or /year")
    return _positive(float(number) * _MONEY_UNITS[canonical], value, "cost")


def parse_fraction(value: object) -> float:
    """A percentage as a fraction from 0 to 1.

    >>> parse_fraction("30%"), parse_fraction("1%")
    (0.3, 0.01)
    """
    if is_number(value):
        number = float(value)  # type: ignore[arg-type]
        percent = _plain(number * 100 if 0 < number < 1 else number)
        raise QuantityError("a percentage needs its % sign", help=f"write {percent}%")
    if not isinstance(value, str):
        raise _wrong_type(value, "percentage", "99.9%")
    text = value.strip()
    number_text = text[:-1].strip() if text.endswith("%") else text
    if not re.fullmatch(_NUMBER, number_text):
        raise QuantityError(_not_a(value, "percentage"), help="write a percentage, such as 99.9%")
    if not text.endswith("%"):
        raise QuantityError("a percentage needs its % sign", help=f"write {number_text}%")
    percent_value = float(number_text)
    if percent_value > 100:
        raise QuantityError(f"{text} is more than 100%", help="write a percentage from 0% to 100%")
    # Dividing the decimal text, not the float, keeps 99.9% equal to 0.999.
    return float(f"{number_text}e-2") if "e" not in number_text.lower() else percent_value / 100


def parse_score(value: object) -> float:
    """A metric's value: a plain number, or a percentage of it.

    >>> parse_score(0.8), parse_score("80%")
    (0.8, 0.8)
    """
    if is_number(value):
        return float(value)  # type: ignore[arg-type]
    if isinstance(value, str) and value.strip().endswith("%"):
        return parse_fraction(value)
    if isinstance(value, str):
        raise QuantityError(
            _not_a(value, "metric value"), help="write a number such as 0.80, or a percentage such as 80%"
        )
    raise _wrong_type(value, "metric value", "0.80")


def parse_percentile(value: object) -> float:
    """The percentile of a key such as `p99` or `p99.9`; 0 < p < 100.

    >>> parse_percentile("p50"), parse_percentile("p99.9")
    (50.0, 99.9)
    """
    text = str(value)
    help = "write a percentile such as p50, p95, p99 or p99.9"
    if text.lower() in {"max", "mean", "avg", "average", "median"}:
        fix = {"max": "p99.9", "median": "p50"}.get(text.lower(), "p50")
        raise QuantityError(
            f"`{_short(text)}` is not a percentile", help=f"write {fix} instead: targets are percentiles"
        )
    match = re.fullmatch(r"[pP]?([0-9]+(?:\.[0-9]+)?)", text)
    if match is None:
        raise QuantityError(f"`{_short(text)}` is not a percentile", help=help)
    number = match.group(1)
    if not text.startswith("p"):
        raise QuantityError(f"`{_short(text)}` is not a percentile", help=f"write p{_short(number)}")
    percentile = float(number)
    if percentile >= 100 and "." not in number and len(number) > 2 and set(number) == {"9"}:
        raise QuantityError(f"`{_short(text)}` is above p100", help=f"write p{number[:2]}.{_short(number[2:])}")
    if not 0 < percentile < 100:
        raise QuantityError(f"`{_short(text)}` is outside p0 to p100, both excluded", help=help)
    return percentile


def is_number(value: object) -> bool:
    """Whether a YAML value is a number (a boolean is not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse(value: object, units: Mapping[str, float], *, kind: str, example: str, default_unit: str) -> float:
    if is_number(value):
        raise QuantityError(f"a {kind} needs its unit", help=f"write {_plain(value)}{default_unit}")
    if not isinstance(value, str):
        raise _wrong_type(value, kind, example)
    match = _SPLIT.match(value)
    if match is None or match.group(2).startswith(","):
        raise QuantityError(_not_a(value, kind), help=_number_help(value, kind, example))
    number, unit = match.groups()
    if not unit:
        raise QuantityError(f"a {kind} needs its unit", help=f"write {number}{default_unit}")
    canonical = _canonical(unit, units)
    if canonical is None:
        known = ", ".join(u for u in units if u != "µs")
        raise QuantityError(
            f"unknown unit `{_short(unit)}` in a {kind}", help=f"write a {kind} such as {example} (units: {known})"
        )
    if canonical != unit and canonical != "us":
        raise QuantityError(f"unknown unit `{unit}` in a {kind}", help=f"write {number}{canonical}")
    return _positive(float(number) * units[canonical], value, kind)


def _canonical(unit: str, units: Mapping[str, float]) -> str | None:
    if unit in units:
        return unit
    for candidate in (_SPELLINGS.get(unit), _SPELLINGS.get(unit.lower()), unit.lower()):
        if candidate in units:
            return candidate
    return next((known for known in units if known.lower() == unit.lower()), None)


def _positive(number: float, text: str, kind: str) -> float:
    largest, words = _LARGEST[kind]
    if number > largest:
        raise QuantityError(f"`{_short(text)}` is too large for a {kind}", help=f"write at most {words}")
    if number <= 0:
        raise QuantityError(f"a {kind} must be greater than zero", help=f"write a {kind} greater than zero")
    return number


def _number_help(value: str, kind: str, example: str) -> str:
    text = value.strip()
    if text.startswith("-"):
        return f"a {kind} is greater than zero, such as {example}"
    without_commas = re.sub(r"(?<=[0-9]),(?=[0-9]{3})", "", text)
    if without_commas != text and _SPLIT.match(without_commas):
        return f"write {without_commas}: no thousands separators"
    return f"write a {kind} such as {example}"


def _money_help(value: str) -> str:
    text = value.strip().replace(",", "")
    number = re.search(_NUMBER, text)
    if re.search(r"[€£¥]|EUR|GBP|JPY|CHF", text):
        return "prices in the catalogue are in US dollars: write the limit as $3000/month"
    if number is None or text.startswith("-"):
        return "write a cost such as $3000/month (or /hour, /day, /year)"
    period = next((p for p in _MONEY_UNITS if p[1:] in text), None) or "/month"
    return f"write ${number.group()}{period}"


def _not_a(value: str, kind: str) -> str:
    return f"`{_short(value)}` is not a {kind}"


def _wrong_type(value: object, kind: str, example: str) -> QuantityError:
    found = {type(None): "nothing", bool: "true or false", dict: "a mapping", list: "a list"}.get(
        type(value), "something else"
    )
    return QuantityError(f"expected a {kind}, found {found}", help=f"write a {kind} such as {example}")


def _plain(value: object) -> str:
    number = float(value)  # type: ignore[arg-type]
    return f"{number:.12g}" if math.isfinite(number) else "20"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
