"""Points in time as logs write them, as seconds since 1970 (UTC)."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ACCESS_LOG = re.compile(
    r"(\d{1,2})/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(\d{4}):(\d\d):(\d\d):(\d\d)([.,]\d{1,9})?"
    r"(?: ?([+-])(\d\d):?(\d\d))?"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COMPACT_ZONE = re.compile(r"([+-]\d\d)(\d\d)$")


def iso_instant(text: str) -> tuple[float, float] | None:
    """Seconds since 1970 and the zone's offset in seconds; None for other texts. No zone counts as UTC.

    >>> iso_instant("1970-01-02 00:00:00.5000000")
    (86400.5, 0.0)
    >>> iso_instant("1970-01-01T02:00:00+02:00")
    (0.0, 7200.0)
    """
    try:
        value = datetime.fromisoformat(_COMPACT_ZONE.sub(r"\1:\2", text.strip().replace(",", ".")))
    except ValueError:
        return None
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    offset = value.utcoffset() or timedelta(0)
    return (value - _EPOCH).total_seconds(), offset.total_seconds()


def log_instant(text: str) -> tuple[float, float] | None:
    """The same for the time of an access log, `10/Oct/2000:13:55:36 -0700`, with or without a fraction.

    >>> log_instant("01/Jan/1970:01:00:00.250 +0100")
    (0.25, 3600.0)
    """
    found = _ACCESS_LOG.fullmatch(text)
    if found is None:
        return iso_instant(text)
    day, month, year, hour, minute, second, fraction, sign, zone_hours, zone_minutes = found.groups()
    offset_s = 0.0
    if sign:
        offset_s = (int(zone_hours) * 3600.0 + int(zone_minutes) * 60.0) * (-1.0 if sign == "-" else 1.0)
    try:
        date = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), min(int(second), 59))
    except ValueError:
        return None
    leap_s = max(0, int(second) - 59)
    local_s = (date.replace(tzinfo=UTC) - _EPOCH).total_seconds() + leap_s
    return local_s - offset_s + (float("0." + fraction[1:]) if fraction else 0.0), offset_s
