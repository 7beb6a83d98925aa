"""Reads recorded traffic: a CSV file with a header and a `timestamp_s` column."""

import csv
import math
from pathlib import Path

from infc.ir.arrival import TraceArrival

_COLUMN = "timestamp_s"
_MAX_ROWS = 5_000_000


class TraceError(ValueError):
    """The file is not a usable trace; the message names the line."""


def read_trace(path: Path, name: str) -> TraceArrival:
    """The trace in a file, its first request at 0; `name` is the path as the user wrote it.

    Raises:
        TraceError: no header, no `timestamp_s` column, a value that is not a finite number, times that go back,
            no request at all, or more than five million.
        OSError: the file cannot be read.
    """
    times_s: list[float] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.reader(file, strict=True)
            column = _column_of(next(reader, None), name)
            for row in reader:
                if row:
                    times_s.append(_time_s(row, column, f"{name}:{reader.line_num}"))
                    _require_order(times_s, f"{name}:{reader.line_num}")
        except UnicodeDecodeError as error:
            raise TraceError(f"{name} is not UTF-8 text") from error
        except csv.Error as error:
            raise TraceError(f"{name} is not CSV: {error}") from error
    if not times_s:
        raise TraceError(f"{name} has a header but no request")
    return TraceArrival(path=name, timestamps_s=tuple(time_s - times_s[0] for time_s in times_s))


def _column_of(header: list[str] | None, name: str) -> int:
    names = [column.strip() for column in header or ()]
    if _COLUMN not in names:
        found = f"it has {', '.join(names[:8])}" if any(names) else "it is empty"
        raise TraceError(f"{name}:1 has no column {_COLUMN}: {found}")
    return names.index(_COLUMN)


def _time_s(row: list[str], column: int, place: str) -> float:
    text = row[column].strip() if column < len(row) else ""
    try:
        time_s = float(text)
    except ValueError:
        raise TraceError(f"{place} has no number in {_COLUMN}: {text[:40]!r}") from None
    if not math.isfinite(time_s):
        raise TraceError(f"{place} has no finite number in {_COLUMN}: {text[:40]!r}")
    return time_s


def _require_order(times_s: list[float], place: str) -> None:
    if len(times_s) > 1 and times_s[-1] < times_s[-2]:
        raise TraceError(f"{place} goes back in time: {times_s[-1]:g} after {times_s[-2]:g}")
    if len(times_s) > _MAX_ROWS:
        raise TraceError(f"{place} is request {_MAX_ROWS + 1}: cut the trace to fewer")
