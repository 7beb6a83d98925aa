"""Traces that are JSON, one request a line: Mooncake and AIPerf, vLLM, Bailian, access logs; and vLLM bench results.

Source: AIPerf's pages on trace replay (`timestamp` in milliseconds, `input_length`, `output_length`), on profile
exports (`metadata.request_start_ns`) and on Bailian traces (`timestamp` in seconds, beside `chat_id` and `turn`);
`vllm bench serve --save-detailed` (`start_times` in seconds, `input_lens`, `output_lens`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from infc.spec.trace.instant import iso_instant, log_instant
from infc.spec.trace.problems import Problems, shortened
from infc.spec.trace.requests import OUTPUT, PROMPT, Requests, seconds, whole

_Row: TypeAlias = Mapping[str, object]
_KEYS = {
    PROMPT: (("prompt_tokens",), ("input_length",), ("input_tokens",), ("metrics", "input_sequence_length", "value")),
    OUTPUT: (
        ("output_tokens",),
        ("output_length",),
        ("completion_tokens",),
        ("metrics", "output_sequence_length", "value"),
    ),
    "batch": (("batch",),),
}
_EXAMPLE = '{"timestamp": 105, "input_length": 1800, "output_length": 26}'


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """Where a request's time stands: numbers in `unit_s` seconds, or dates (None)."""

    format: str
    keys: tuple[str, ...]
    unit_s: float | None
    with_key: str = ""


_CLOCKS = (
    _Clock(format="JSON lines", keys=("timestamp_s",), unit_s=1.0),
    _Clock(format="JSON lines", keys=("timestamp_ms",), unit_s=1e-3),
    _Clock(format="Bailian trace", keys=("timestamp",), unit_s=1.0, with_key="chat_id"),
    _Clock(format="Mooncake or AIPerf trace", keys=("timestamp",), unit_s=1e-3),
    _Clock(format="AIPerf profile export", keys=("metadata", "request_start_ns"), unit_s=1e-9),
    _Clock(format="access log (JSON)", keys=("msec",), unit_s=1.0),
    *(
        _Clock(format="access log (JSON)", keys=(key,), unit_s=None)
        for key in ("time_iso8601", "@timestamp", "time_local", "time", "ts")
    ),
)


def read_json_lines(text: str, lines: Sequence[str], problems: Problems) -> Requests | None:
    """The requests of a JSON trace; None when it is none, with the problem noted."""
    first = next(number for number, line in enumerate(lines, start=1) if line.strip())
    row = _object(lines[first - 1])
    if row is None:
        whole_file = _object(text)
        if whole_file is not None and "start_times" in whole_file:
            return _bench_result(whole_file, problems)
        _not_lines(lines[first - 1], first, whole_file, problems)
        return None
    if "start_times" in row:
        return _bench_result(row, problems)
    clock = _clock(row)
    if clock is None:
        keys = f"its keys: {', '.join(row)[:100]}"
        problems.add(first, "the trace has no `timestamp`", f"write lines such as {_EXAMPLE}", note=keys)
        return None
    return _requests(clock, _paths(row), lines, problems)


def _requests(
    clock: _Clock, paths: Mapping[str, tuple[str, ...]], lines: Sequence[str], problems: Problems
) -> Requests:
    times_s: list[float] = []
    zone_s: float | None = None
    sizes: dict[str, list[int]] = {name: [] for name in paths}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _object(line)
        if row is not None and _at(row, ("metadata", "benchmark_phase")) == "warmup":
            continue
        if row is None:
            problems.add(number, "this line is not a JSON object", f"write lines such as {_EXAMPLE}", text=line[:80])
            continue
        instant = _instant(clock, row)
        if instant is None:
            _no_time(clock, row, number, problems)
            continue
        time_s, zone_s = instant
        times_s.append(time_s)
        for name, keys in paths.items():
            value = _at(row, keys)
            size = whole(value) if isinstance(value, int | float | str) else None
            if value is None and row.get("error"):
                size = 0
            if size is None:
                help = f"give every request its `{'.'.join(keys)}`, or none"
                problems.add(number, f"this line has no whole number in `{'.'.join(keys)}`", help, text=line[:80])
            else:
                sizes[name].append(max(1, size))
    is_own = clock.format == "JSON lines"
    return Requests(format=clock.format, times_s=times_s, sizes=sizes, zone_s=zone_s, has_meant_ties=is_own)


def _instant(clock: _Clock, row: _Row) -> tuple[float, float | None] | None:
    value = _at(row, clock.keys)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if clock.unit_s is None:
        return log_instant(value) if isinstance(value, str) else None
    if isinstance(value, str) and clock.keys == ("timestamp",):
        return iso_instant(value)
    found = seconds(value)
    time_s = None if found is None else found * clock.unit_s
    is_absolute = clock.format.startswith(("access", "AIPerf"))
    return None if time_s is None else (time_s, 0.0 if is_absolute else None)


def _bench_result(result: _Row, problems: Problems) -> Requests | None:
    """`vllm bench serve --save-detailed`: what a load test sent."""
    columns: dict[str, list[object]] = {}
    for key in ("start_times", "input_lens", "output_lens"):
        value = result.get(key)
        if isinstance(value, list):
            columns[key] = value
    starts = [seconds(v) if isinstance(v, int | float) else None for v in columns.get("start_times", [])]
    times_s = [start for start in starts if start is not None]
    if len(times_s) != len(starts):
        problems.add(1, "`start_times` holds a value that is not a number of seconds", "save the result again")
        return None
    sizes: dict[str, list[int]] = {}
    for key, name in (("input_lens", PROMPT), ("output_lens", OUTPUT)):
        found = [whole(v) for v in columns.get(key, []) if isinstance(v, int | float)]
        kept = [max(1, size) for size in found if size is not None]
        if len(kept) == len(times_s):
            sizes[name] = kept
    return Requests(format="vLLM bench result", times_s=times_s, sizes=sizes, zone_s=None, has_meant_ties=True)


def _clock(row: _Row) -> _Clock | None:
    for clock in _CLOCKS:
        if _at(row, clock.keys) is not None and (not clock.with_key or clock.with_key in row):
            return clock
    return None


def _paths(row: _Row) -> dict[str, tuple[str, ...]]:
    """Where the first request has its sizes."""
    paths: dict[str, tuple[str, ...]] = {}
    for name, places in _KEYS.items():
        found = next((keys for keys in places if _at(row, keys) is not None), None)
        if found is not None:
            paths[name] = found
    return paths


def _at(row: _Row, keys: Sequence[str]) -> object:
    value: object = row
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _object(text: str) -> _Row | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_time(clock: _Clock, row: _Row, number: int, problems: Problems) -> None:
    key = ".".join(clock.keys)
    value = _at(row, clock.keys)
    if value is not None:
        problems.add(number, f"{shortened(value)} in `{key}` is not a time", f"write it as the first line does: {key}")
    elif "delay" in row:
        help = "keep the first turn of each session, or give every turn the time at which it was sent"
        problems.add(number, "this turn has a `delay` after an answer, not a time of its own", help)
    else:
        problems.add(number, f"this line has no `{key}`", f"give every request its {key}")


def _not_lines(line: str, number: int, whole_file: _Row | None, problems: Problems) -> None:
    if whole_file is not None and "ttfts" in whole_file:
        help = (
            "run `vllm bench serve --save-detailed` with a vLLM that writes start_times, or keep the trace it replayed"
        )
        problems.add(1, "this benchmark result does not say when its requests were sent", help)
        return
    help = f"write one JSON object a line, such as {_EXAMPLE}"
    problems.add(number, "the trace is JSON, but not one object a line", help, text=line[:80])
