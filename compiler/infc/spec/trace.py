"""Arrival traces: a CSV with a header and a `timestamp_s` column."""

import math
from pathlib import Path

from infc.diag import Diagnostic, Span
from infc.diag.nearest import did_you_mean
from infc.ir.arrival import TraceArrival

COLUMN = "timestamp_s"
MAX_TRACE_BYTES = 256 * 1024 * 1024
MAX_PROBLEMS = 10


def read_trace(path: Path, written: str, shown: str) -> tuple[TraceArrival | None, tuple[Diagnostic, ...]]:
    """The arrivals of a trace, shifted to start at 0. `written` is the path as in the spec, `shown` as in messages.

    Timestamps are seconds, finite and ascending (equal ones are simultaneous requests); at least two are needed.
    Problems carry the line of the trace; after ten the rest is counted.
    """
    try:
        if path.stat().st_size > MAX_TRACE_BYTES:
            return None, (_problem(shown, 1, "the trace is larger than 256 MiB", "take a sample of it"),)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None, (_problem(shown, 1, "the trace is not UTF-8", "save it as UTF-8"),)
    except OSError as error:
        return None, (_problem(shown, 1, f"cannot read the trace: {error.strerror or error}", "check its permissions"),)
    return _parse(text, written, shown)


def _parse(text: str, written: str, shown: str) -> tuple[TraceArrival | None, tuple[Diagnostic, ...]]:
    lines = text.splitlines()
    if not lines:
        help = f"write a header with the column {COLUMN}, then one line per request"
        return None, (_problem(shown, 1, "the trace is empty", help),)
    header = [name.strip() for name in _fields(lines[0])]
    if COLUMN not in header:
        near = did_you_mean(COLUMN, header) or f"columns: {', '.join(header)[:100]}"
        help = f"name the column of arrival times {COLUMN}"
        return None, (_problem(shown, 1, f"the trace has no column `{COLUMN}`", help, note=near, line_text=lines[0]),)
    column = header.index(COLUMN)
    times: list[float] = []
    problems: list[Diagnostic] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        value, problem = _timestamp(line, column, times[-1] if times else -math.inf)
        if value is not None:
            times.append(value)
        else:
            problems.append(_problem(shown, number, *problem, line_text=line))
    if not problems and (len(times) < 2 or times[-1] <= times[0]):
        help = "give at least two requests at different times"
        problems.append(_problem(shown, len(lines), "the trace has fewer than two arrival times", help))
    if problems:
        return None, _limited(problems)
    return TraceArrival(path=written, timestamps_s=tuple(time - times[0] for time in times)), ()


def _timestamp(line: str, column: int, previous: float) -> tuple[float | None, tuple[str, str]]:
    fields = _fields(line)
    if column >= len(fields):
        return None, (f"this line has no `{COLUMN}`", f"give it {column + 1} or more columns")
    text = fields[column].strip()
    try:
        value = float(text)
    except ValueError:
        return None, (f"`{text[:40]}` is not a number of seconds", "write seconds, such as 12.5")
    if not math.isfinite(value) or abs(value) > 1e12:
        return None, (f"`{text[:40]}` is not a usable time", "write seconds, such as 12.5")
    if value < previous:
        return None, (f"time {value:g} is before the line above it ({previous:g})", f"sort the trace by {COLUMN}")
    return value, ("", "")


def _fields(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    import csv

    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _limited(problems: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    last = problems[MAX_PROBLEMS - 1]
    more = f"{len(problems) - MAX_PROBLEMS} more lines of this trace are wrong"
    shortened = Diagnostic(id=last.id, message=last.message, span=last.span, notes=(*last.notes, more), help=last.help)
    return (*problems[: MAX_PROBLEMS - 1], shortened)


def _problem(shown: str, line: int, message: str, help: str, *, note: str = "", line_text: str = "") -> Diagnostic:
    span = Span(path=shown, line=line, column=1, end_line=line, end_column=max(2, len(line_text) + 1))
    return Diagnostic(id="spec-trace", message=message, span=span, help=help, notes=(note,) if note else ())
