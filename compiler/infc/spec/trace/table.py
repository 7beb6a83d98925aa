"""Traces that are a CSV with a header: the project's own format, Azure's and BurstGPT's.

Source of the columns: the schema page of Azure's LLM inference traces of 2023 and 2024 (times in UTC), the README of
BurstGPT (seconds since the start of the collection; 0 response tokens are failed requests).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infc.diag.nearest import did_you_mean
from infc.spec.trace.instant import iso_instant
from infc.spec.trace.problems import Problems, shortened
from infc.spec.trace.requests import OUTPUT, PROMPT, Requests, seconds, whole

COLUMN = "timestamp_s"
_MAX_COLUMNS = 64
_SIZES = (PROMPT, OUTPUT, "batch")


@dataclass(frozen=True, kw_only=True)
class _Format:
    """`time` is the column of times, in `unit_s` seconds (None: dates); `sizes` are the columns to keep, renamed.

    `keeps_others`: further columns of whole numbers are sizes of axes.
    """

    name: str
    time: str
    unit_s: float | None
    sizes: Mapping[str, str]
    keeps_others: bool = False


_OWN = dict(zip(_SIZES, _SIZES, strict=True))
FORMATS = (
    _Format(name="CSV", time=COLUMN, unit_s=1.0, sizes=_OWN, keeps_others=True),
    _Format(name="CSV", time="timestamp_ms", unit_s=1e-3, sizes=_OWN, keeps_others=True),
    _Format(
        name="Azure LLM trace",
        time="TIMESTAMP",
        unit_s=None,
        sizes={"ContextTokens": PROMPT, "GeneratedTokens": OUTPUT},
    ),
    _Format(
        name="BurstGPT trace",
        time="Timestamp",
        unit_s=1.0,
        sizes={"Request tokens": PROMPT, "Response tokens": OUTPUT},
    ),
)


def read_table(lines: Sequence[str], problems: Problems) -> Requests | None:
    """The requests of a CSV; None when the header says nothing about times."""
    top = next(number for number, line in enumerate(lines) if line.strip())
    header = [name.strip() for name in _fields(lines[top])]
    format = next((each for each in FORMATS if each.time in header), None)
    if format is None:
        near = did_you_mean(COLUMN, header) or f"columns: {', '.join(header)[:100]}"
        help = f"name the column of arrival times {COLUMN}, in seconds"
        problems.add(top + 1, f"the trace has no column `{COLUMN}`", help, note=near, text=lines[top])
        return None
    rows = [(number, line) for number, line in enumerate(lines[top + 1 :], start=top + 2) if line.strip()]
    column = header.index(format.time)
    cells = [_fields(line) for _, line in rows]
    times_s = []
    for (number, line), fields in zip(rows, cells, strict=True):
        if column >= len(fields):
            problems.add(
                number, f"this line has no `{format.time}`", f"give it {column + 1} or more columns", text=line
            )
            continue
        time_s = _time_s(fields[column].strip(), format)
        if time_s is None:
            what = "a date and time" if format.unit_s is None else "a number of seconds"
            example = "2024-05-10 00:00:00.25" if format.unit_s is None else "seconds, such as 12.5"
            problems.add(number, f"{shortened(fields[column].strip())} is not {what}", f"write {example}", text=line)
            continue
        times_s.append(time_s)
    if problems:
        return None
    sizes = _sizes(format, header, rows, cells, problems)
    return Requests(
        format=format.name,
        times_s=times_s,
        sizes=sizes,
        zone_s=0.0 if format.unit_s is None else None,
        has_meant_ties=format.keeps_others,
    )


def _time_s(text: str, format: _Format) -> float | None:
    if format.unit_s is None:
        instant = iso_instant(text)
        return None if instant is None else instant[0]
    value = seconds(text)
    return None if value is None else value * format.unit_s


def _sizes(
    format: _Format,
    header: Sequence[str],
    rows: Sequence[tuple[int, str]],
    cells: Sequence[Sequence[str]],
    problems: Problems,
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for column, name in enumerate(header[:_MAX_COLUMNS]):
        is_known = name in format.sizes
        if name == format.time or not (is_known or (format.keeps_others and name.isidentifier())):
            continue
        sizes = [whole(fields[column].strip()) if column < len(fields) else None for fields in cells]
        kept = [max(1, size) for size in sizes if size is not None]  # a failed request generated nothing: 1 token
        if len(kept) == len(sizes) and (is_known or 0 not in sizes):
            found[format.sizes.get(name, name)] = kept
        elif is_known:
            for (number, line), size in zip(rows, sizes, strict=True):
                if size is None:
                    help = f"write a whole number in `{name}`, or drop the column"
                    problems.add(number, f"this line's `{name}` is not a whole number", help, text=line)
    return found


def _fields(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    import csv

    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []
