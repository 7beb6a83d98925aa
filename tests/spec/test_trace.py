"""Recorded traffic: every format by its content, every problem with its line, no file that crashes the reader."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infc.diag import Diagnostic
from infc.spec.trace import ReadTrace, read_recorded

# Columns as the publishers of these traces document them; the values are made up.
AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:00:00.5099300+00:00,2399,6
2024-05-10 00:00:00.259930+00:00,76,15
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,0,1087,Conversation log
118.5,GPT-4,417,276,693,API log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2]}
{"timestamp": 105, "input_length": 1800, "output_length": 26, "hash_ids": [0, 3]}
{"timestamp": 3000, "input_length": 1300, "output_length": 52}
"""
BAILIAN = """{"chat_id": 159, "timestamp": 61.25, "input_length": 521, "output_length": 132, "turn": 1}
{"chat_id": 160, "timestamp": 62.5, "input_length": 17, "output_length": 9, "turn": 1}
"""
AIPERF_EXPORT = "".join(
    json.dumps(
        {
            "metadata": {"request_start_ns": 1_700_000_000_000_000_000 + ns, "benchmark_phase": phase},
            "metrics": {"input_sequence_length": {"value": 550}, "output_sequence_length": {"value": 250}},
        }
    )
    + "\n"
    for ns, phase in ((0, "warmup"), (500_000_000, "profiling"), (750_000_000, "profiling"))
)
VLLM_BENCH = json.dumps(
    {
        "date": "x",
        "completed": 3,
        "start_times": [10.0, 10.5, 10.25],
        "input_lens": [7, 8, 9],
        "output_lens": [1, 2, 0],
    },
    indent=1,
)
COMMON = """127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326
127.0.0.1 - frank [10/Oct/2000:13:55:38 -0700] "GET /b.gif HTTP/1.0" 200 2326
"""
COMBINED_MS = """::1 - - [10/Oct/2000:23:59:59.250 +0000] "POST /v1 HTTP/1.1" 200 2326 "http://a/[b]" "curl/8.0 [10]"
::1 - - [11/Oct/2000:00:00:00.500 +0000] "POST /v1 HTTP/1.1" 499 - "-" "-"
"""
NGINX_MSEC = """10.0.0.1 - - [24/Aug/2017:11:07:51 +0800] "POST / HTTP/1.1" 200 31 "-" "k6/0.4" 1503544071.865 "-" 0.120
10.0.0.1 - - [24/Aug/2017:11:07:51 +0800] "POST / HTTP/1.1" 200 31 "-" "k6/0.4" 1503544071.990 "-" 0.120
"""
NGINX_JSON = """{"time_iso8601": "2011-03-21T18:52:25+03:00", "status": 200}
{"time_iso8601": "2011-03-21T18:52:27+03:00", "status": 200}
"""


def read(folder: Path, text: str, name: str = "trace.csv") -> tuple[ReadTrace | None, tuple[Diagnostic, ...]]:
    """The trace of a file with this text."""
    (folder / name).write_text(text, encoding="utf-8")
    return read_recorded(folder / name, name, name)


@pytest.mark.parametrize(
    ("text", "format", "times_s", "sizes"),
    [
        ("timestamp_s\n3\n3\n4.5\n", "CSV", (0, 0, 1.5), {}),
        ("\ufefftimestamp_s, batch\n0,1\n\n1,2\n", "CSV", (0, 1), {"batch": (1, 2)}),
        ("user,timestamp_ms,sequence\na b,100,12\nc,600,9\n", "CSV", (0, 0.5), {"sequence": (12, 9)}),
        (
            AZURE,
            "Azure LLM trace",
            (0, 0.25, 0.5),
            {"prompt_tokens": (2162, 76, 2399), "output_tokens": (5, 15, 6)},
        ),
        (
            BURSTGPT,
            "BurstGPT trace",
            (0, 40, 113.5),
            {"prompt_tokens": (472, 1087, 417), "output_tokens": (18, 1, 276)},
        ),
        (
            MOONCAKE,
            "Mooncake or AIPerf trace",
            (0, 0.105, 3),
            {"prompt_tokens": (6758, 1800, 1300), "output_tokens": (500, 26, 52)},
        ),
        (BAILIAN, "Bailian trace", (0, 1.25), {"prompt_tokens": (521, 17), "output_tokens": (132, 9)}),
        (AIPERF_EXPORT, "AIPerf profile export", (0, 0.25), {"prompt_tokens": (550,) * 2, "output_tokens": (250,) * 2}),
        (VLLM_BENCH, "vLLM bench result", (0, 0.25, 0.5), {"prompt_tokens": (7, 9, 8), "output_tokens": (1, 1, 2)}),
        (json.dumps(json.loads(VLLM_BENCH)), "vLLM bench result", (0, 0.25, 0.5), None),
        (COMMON, "access log", (0, 2), {}),
        (COMBINED_MS, "access log", (0, 1.25), {}),
        (NGINX_MSEC, "access log", (0, 0.125), {}),
        (NGINX_JSON, "access log (JSON)", (0, 2), {}),
        ('{"timestamp_s": 1.5}\n{"timestamp_s": 1}\n', "JSON lines", (0, 0.5), {}),
        ('{"timestamp": "2024-05-10T00:00:01Z"}\n{"timestamp": "2024-05-10T00:00:02Z"}\n', None, (0, 1), {}),
    ],
)
def test_a_format_is_told_by_its_content(
    tmp_path: Path,
    text: str,
    format: str | None,
    times_s: tuple[float, ...],
    sizes: dict[str, tuple[int, ...]] | None,
) -> None:
    """Times from 0 on, sorted with their sizes; a request that generated nothing counts as one token."""
    found, problems = read(tmp_path, text)
    assert not problems
    assert found is not None
    assert format is None or found.format == format
    assert found.arrival.timestamps_s == pytest.approx(times_s, abs=1e-6)
    assert sizes is None or found.arrival.sizes == sizes
    assert found.tick_s == 0.0


@pytest.mark.parametrize(
    ("text", "hour"),
    [(COMMON, 13 + 55 / 60 + 36 / 3600), (COMBINED_MS, 24 - 0.75 / 3600), (AZURE, 0.0), (BURSTGPT, None)],
)
def test_a_log_knows_the_time_of_day(tmp_path: Path, text: str, hour: float | None) -> None:
    """Of the first request, in the log's own zone; a trace of seconds does not know."""
    found, _ = read(tmp_path, text)
    assert found is not None
    starts_at_s = found.arrival.starts_at_s
    assert starts_at_s is None if hour is None else starts_at_s == pytest.approx(hour * 3600, abs=0.1)


def test_requests_of_one_tick_are_spread_over_it(tmp_path: Path) -> None:
    """A log in whole seconds is not a burst a second; each request stays in its second, the same on every reading."""
    line = '::1 - - [10/Oct/2000:13:55:{:02d} -0700] "GET / HTTP/1.0" 200 1\n'
    text = "".join(line.format(second) for second in range(60) for _ in range(1 + second % 5))
    found, _ = read(tmp_path, text)
    again, _ = read(tmp_path, text)
    assert found is not None
    assert found == again
    assert found.tick_s == 1.0
    times_s = found.arrival.timestamps_s
    assert len(set(times_s)) == len(times_s) == 180
    assert sorted(times_s) == list(times_s)
    own, _ = read(tmp_path, "timestamp_s\n" + "".join(f"{second}\n" * 3 for second in range(60)))
    assert own is not None
    assert own.tick_s == 0.0, "equal times of the project's own format are meant"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the trace is empty"),
        ("\n\n", 1, "the trace is empty"),
        ("time,prompt_tokens\n1,2\n", 1, "no column `timestamp_s`"),
        ("timestamp_s,prompt_tokens\n1,5\n2\n", 3, "`prompt_tokens` is not a whole number"),
        ("timestamp_s,prompt_tokens\n1,5\n2,many\n", 3, "`prompt_tokens` is not a whole number"),
        ("timestamp_s\n1\nnan\n", 3, "is not a number of seconds"),
        ("timestamp_s\n1\n1e300\n", 3, "is not a number of seconds"),
        ("a,timestamp_s\n1,1\n1\n", 3, "this line has no `timestamp_s`"),
        ("timestamp_s\n1\n1\n", 3, "fewer than two arrival times"),
        ("timestamp_s\n1\n", 2, "fewer than two arrival times"),
        (AZURE.replace("2024-05-10 00:00:00.259930", "10 May"), 4, "is not a date and time"),
        (BURSTGPT.replace("1087,0", "1087,"), 3, "`Response tokens` is not a whole number"),
        (MOONCAKE.replace(": 105,", ': "soon",'), 2, "`soon` in `timestamp` is not a time"),
        (MOONCAKE.replace('"timestamp": 105, ', '"delay": 500, '), 2, "has a `delay`"),
        (MOONCAKE.replace('"timestamp": 105, ', ""), 2, "this line has no `timestamp`"),
        (MOONCAKE.replace('"output_length": 26, ', ""), 2, "no whole number in `output_length`"),
        (MOONCAKE + "{\n", 4, "not a JSON object"),
        ('{"input_length": 3}\n', 1, "the trace has no `timestamp`"),
        ('[{"timestamp": 3}]\n', 1, "not one object a line"),
        ('{"ttfts": [0.1],\n"input_lens": [4]}', 1, "does not say when its requests were sent"),
        ('{"start_times": [1, "a"]}', 1, "`start_times` holds a value"),
        (COMMON + "upgraded nginx\n", 3, "no time in brackets"),
        (COMMON.replace("10/Oct/2000:13:55:38", "99/Oct/2000:13:55:38"), 2, "no time in brackets"),
    ],
)
def test_a_bad_trace_says_where_and_how_to_mend_it(tmp_path: Path, text: str, line: int, message: str) -> None:
    """The line of the trace, what is wrong, and a fix."""
    found, problems = read(tmp_path, text)
    assert found is None
    assert len(problems) == 1
    assert problems[0].id == "spec-trace"
    assert problems[0].span is not None
    assert (problems[0].span.path, problems[0].span.line) == ("trace.csv", line)
    assert message in problems[0].message
    assert problems[0].help


def test_many_problems_are_counted(tmp_path: Path) -> None:
    """Ten lines are shown, the others counted."""
    _, problems = read(tmp_path, "timestamp_s\n" + "noon\n" * 25)
    assert len(problems) == 10
    assert problems[-1].notes == ("15 more lines of this trace are wrong",)


def test_bytes_that_are_no_text_and_absent_files_are_problems(tmp_path: Path) -> None:
    """A compressed log and a wrong path have a fix too."""
    (tmp_path / "log.gz").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    for name in ("log.gz", "absent.csv"):
        found, problems = read_recorded(tmp_path / name, name, name)
        assert found is None
        assert problems[0].help


_CELL = st.sampled_from(["0", "1", "2.5", "nan", "-1", "x", "", '"', "1e400", "9" * 400, "2024-05-10", "é", "\0"])
_ROW = st.lists(_CELL, max_size=4).map(",".join)
_HEADS = st.sampled_from(
    ["timestamp_s", "timestamp_s,batch,batch", "TIMESTAMP,ContextTokens", "Timestamp,Request tokens", "", "{", "[1]"]
)
_JSON = st.dictionaries(
    st.sampled_from(["timestamp", "timestamp_s", "input_length", "metadata", "start_times", "time", "chat_id", "msec"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers(), max_size=3),
).map(json.dumps)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=150
)
@given(
    st.one_of(
        st.text(max_size=80),
        st.tuples(_HEADS, st.lists(_ROW, max_size=6)).map(lambda parts: "\n".join([parts[0], *parts[1]])),
        st.lists(_JSON, max_size=5).map("\n".join),
        st.text(alphabet="[]/:0123456789OctJan -+.\n", max_size=80),
    )
)
def test_no_file_crashes_the_reader(tmp_path: Path, text: str) -> None:
    """Either a trace that can be replayed, or problems with a fix."""
    (tmp_path / "t").write_bytes(text.encode("utf-8", "surrogatepass"))
    found, problems = read_recorded(tmp_path / "t", "t", "t")
    assert (found is None) == bool(problems)
    assert all(problem.help and problem.span for problem in problems)
    if found is not None:
        times_s = found.arrival.timestamps_s
        assert times_s[0] == 0.0
        assert list(times_s) == sorted(times_s)
        assert all(len(sizes) == len(times_s) and min(sizes) >= 1 for sizes in found.arrival.sizes.values())
