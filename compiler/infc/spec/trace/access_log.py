"""Access logs of web servers: common and combined log format, as Apache, nginx and gateways write them.

The time stands in brackets, `[10/Oct/2000:13:55:36 -0700]`; a fraction after the seconds counts where there is one, and
so does nginx's `$msec` anywhere in the line. Apache writes when a request came, nginx when its answer had been sent.
"""

import re
from collections.abc import Sequence

from infc.spec.trace.instant import log_instant
from infc.spec.trace.problems import Problems
from infc.spec.trace.requests import Requests

_BRACKETS = re.compile(r"\[(\d{1,2}/[A-Z][a-z]{2}/\d{4}:[^\]]{8,28}|\d{4}-\d\d-\d\d[T ][^\]]{8,24})\]")
_MSEC = re.compile(r"(?<![\d.])(\d{9,10}\.\d{3,6})(?![\d.])")
_SAME_S = 2.0


def is_access_log(line: str) -> bool:
    """Whether the line has a time in brackets, as access logs do.

    >>> is_access_log('::1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 12')
    True
    """
    return _BRACKETS.search(line) is not None


def read_access_log(lines: Sequence[str], problems: Problems) -> Requests:
    """The times of an access log; its lines say nothing of tokens."""
    times_s: list[float] = []
    zone_s = 0.0
    known: dict[str, tuple[float, float] | None] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        found = _BRACKETS.search(line)
        text = found[1] if found else ""
        if text not in known:
            known = {text: log_instant(text)}
        instant = known[text]
        if instant is None:
            problems.add(number, "this line has no time in brackets", "remove lines of other formats", text=line)
            continue
        time_s, zone_s = instant
        times_s.append(_exact_s(line, time_s))
    return Requests(format="access log", times_s=times_s, sizes={}, zone_s=zone_s, has_meant_ties=False)


def _exact_s(line: str, time_s: float) -> float:
    """The line's `$msec` where it has one: a number that means the same second."""
    if time_s != int(time_s):
        return time_s
    for found in _MSEC.finditer(line):
        exact_s = float(found[1])
        if 0.0 <= exact_s - time_s < _SAME_S:
            return exact_s
    return time_s
