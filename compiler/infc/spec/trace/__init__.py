"""Recorded traffic: request times and sizes from the files that people have. The format is told by the content.

Read are: a CSV with a header and a `timestamp_s` column (the format of the project), the traces of Azure and BurstGPT
(CSV), of Mooncake, AIPerf, vLLM and Bailian (JSON lines), results of `vllm bench serve`, and access logs of web servers
(common and combined format, with or without milliseconds, or JSON lines).
"""

from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic
from infc.ir.arrival import DAY_S, TraceArrival
from infc.spec.trace.problems import Problems

MAX_TRACE_BYTES = 256 * 1024 * 1024
MAX_REQUESTS = 5_000_000
SUFFIXES = (".csv", ".jsonl", ".json", ".log", ".txt")


@dataclass(frozen=True, kw_only=True)
class ReadTrace:
    """A trace with what was learned on the way: what it is, and how exact its times are.

    `tick_s` is the resolution of the times where requests share them (0: as exact as they are): those of one tick were
    spread over it.
    """

    arrival: TraceArrival
    format: str
    tick_s: float


def read_trace(path: Path, written: str, shown: str) -> tuple[TraceArrival | None, tuple[Diagnostic, ...]]:
    """The arrivals of a trace, sorted and shifted to start at 0.

    Problems carry the line of the trace; after ten the rest is counted.

    Args:
        path: the file.
        written: its path as in the spec.
        shown: its path as in messages.
    """
    trace, problems = read_recorded(path, written, shown)
    return (None if trace is None else trace.arrival), problems


def read_recorded(path: Path, written: str, shown: str) -> tuple[ReadTrace | None, tuple[Diagnostic, ...]]:
    """The same, with the format and the resolution."""
    problems = Problems(shown)
    text = _text(path, problems)
    read = None if text is None else _parse(text, written, problems)
    return read, problems.diagnostics()


def _text(path: Path, problems: Problems) -> str | None:
    try:
        if path.stat().st_size > MAX_TRACE_BYTES:
            problems.add(1, "the trace is larger than 256 MiB", "take a part of it, such as its busiest hours")
            return None
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problems.add(1, "the trace is not UTF-8", "save it as UTF-8 (and unpack it, if it is compressed)")
    except OSError as error:
        problems.add(1, f"cannot read the trace: {error.strerror or error}", "check the path and its permissions")
    return None


def _parse(text: str, written: str, problems: Problems) -> ReadTrace | None:
    from infc.spec.trace.access_log import is_access_log, read_access_log
    from infc.spec.trace.json_lines import read_json_lines
    from infc.spec.trace.table import read_table
    from infc.spec.trace.ticks import spread_ticks

    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        problems.add(1, "the trace is empty", "write a header with timestamp_s, then one line per request")
        return None
    if len(lines) > MAX_REQUESTS + 1:
        problems.add(MAX_REQUESTS + 2, "the trace has more than 5 million lines", "take its busiest hours, or a day")
        return None
    if first.lstrip()[0] in "{[":
        requests = read_json_lines(text, lines, problems)
    elif is_access_log(first):
        requests = read_access_log(lines, problems)
    else:
        requests = read_table(lines, problems)
    if problems or requests is None:
        return None
    order = sorted(range(len(requests.times_s)), key=requests.times_s.__getitem__)
    times_s = [requests.times_s[row] for row in order]
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        help = "give at least two requests at different times"
        problems.add(max(1, len(lines)), "the trace has fewer than two arrival times", help)
        return None
    start_s, tick_s = times_s[0], 0.0
    if not requests.has_meant_ties:
        times_s, tick_s = spread_ticks(times_s)
    arrival = TraceArrival(
        path=written,
        timestamps_s=tuple(time_s - times_s[0] for time_s in times_s),
        sizes={name: tuple([sizes[row] for row in order]) for name, sizes in sorted(requests.sizes.items())},
        starts_at_s=None if requests.zone_s is None else (start_s + requests.zone_s) % DAY_S,
    )
    return ReadTrace(arrival=arrival, format=requests.format, tick_s=tick_s)


__all__ = ["MAX_REQUESTS", "MAX_TRACE_BYTES", "SUFFIXES", "ReadTrace", "read_recorded", "read_trace"]
