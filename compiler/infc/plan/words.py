"""Numbers as the plan's sentences say them."""

import math
from typing import Literal


def duration_text(seconds: float) -> str:
    """Three significant digits with the fitting unit.

    >>> duration_text(0.0123), duration_text(2.5e-4), duration_text(3.0)
    ('12.3 ms', '250 us', '3 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} us"
    if seconds < 1.0:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def money_text(usd_per_hour: float) -> str:
    """Dollars per hour.

    >>> money_text(0.352), money_text(12.5)
    ('$0.352/h', '$12.50/h')
    """
    return f"${usd_per_hour:.3g}/h" if usd_per_hour < 1 else f"${usd_per_hour:.2f}/h"


def size_text(size_bytes: float) -> str:
    """GiB with one or two digits.

    >>> size_text(2**30 * 1.234), size_text(2**30 * 24), size_text(2**30 * 1128)
    ('1.23 GiB', '24 GiB', '1,128 GiB')
    """
    gib = size_bytes / 2.0**30
    if gib >= 1000:
        return f"{gib:,.0f} GiB"
    return f"{gib:.2f} GiB" if gib < 10 else f"{gib:.3g} GiB"


def rate_text(rps: float) -> str:
    """Requests per second.

    >>> rate_text(800.0), rate_text(0.25)
    ('800/s', '0.25/s')
    """
    return f"{rps:.0f}/s" if rps >= 100 else f"{rps:.3g}/s"


def rounded_up(value: float, digits: int) -> float:
    """`value` rounded up to so many significant digits, so that the printed limit is one that holds.

    >>> rounded_up(0.01234, 2), rounded_up(0.0, 2)
    (0.013, 0.0)
    """
    if value <= 0:
        return 0.0
    scale = 10.0 ** (digits - 1 - math.floor(math.log10(value)))
    return float(f"{math.ceil(value * scale - 1e-9) / scale:.12g}")


def objective_text(objective: Literal["cost", "latency", "energy"], value: float) -> str:
    """A value of an objective: dollars per hour, seconds or watts.

    >>> objective_text("energy", 612.0)
    '612 W'
    """
    match objective:
        case "cost":
            return money_text(value)
        case "energy":
            return f"{value:.3g} W"
        case "latency":
            return duration_text(value)


def counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "replica"), counted(3, "replica")
    ('1 replica', '3 replicas')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def month_text(usd_per_month: float) -> str:
    """Dollars per month.

    >>> month_text(384.2), month_text(7.123), month_text(123456.0)
    ('$384/month', '$7.12/month', '$123,456/month')
    """
    return f"${usd_per_month:,.0f}/month" if abs(usd_per_month) >= 100 else f"${usd_per_month:.3g}/month"


def figure_text(value: float) -> str:
    """Three significant digits without an exponent.

    >>> figure_text(1499.6), figure_text(0.1136), figure_text(57.25)
    ('1,500', '0.114', '57.2')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
