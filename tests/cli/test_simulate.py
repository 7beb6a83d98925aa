"""`infc simulate triton` as its user sees it."""

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.cli.edge import guarded
from infc.cli.simulate.ensemble_file import EXAMPLE
from infc.report.simulation_schema import simulation_schema

LIGHT = "4.5,5,5.5,6,6.5,7,7.5,8"


@dataclass(frozen=True)
class Completed:
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def simulate(*arguments: str, cwd: Path) -> Completed:
    """Run the command in `cwd`, piped."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = guarded(app, args=["simulate", "triton", *arguments])
    return Completed(code, out.getvalue(), err.getvalue())


def document(*arguments: str, cwd: Path) -> dict[str, object]:
    """The JSON answer, which must match its schema."""
    result = simulate("--format", "json", "--requests", "4000", *arguments, cwd=cwd)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    Draft202012Validator(simulation_schema()).validate(answer)
    return dict(answer)


def test_json_has_the_documented_shape(tmp_path: Path) -> None:
    """Every option at once; milliseconds; fields of language models are null."""
    answer = document(
        *("--service-ms", "5.4,8.7,11.9", "--max-batch-size", "3", "--max-queue-delay-us", "500"),
        *("--preferred", "2,3", "--instances", "2", "--rate", "100/s", "--arrival", "poisson", "--seed", "0"),
        cwd=tmp_path,
    )
    assert answer["ttft_ms"] is None
    assert 5.4 < answer["latency_ms"]["p50"] < answer["latency_ms"]["p99"]  # type: ignore[index]
    assert answer["throughput_rps"] == pytest.approx(100, rel=0.05)


def test_text_tells_the_setting_and_what_would_do_better(tmp_path: Path) -> None:
    """A small queue delay is worse than none, and the note says by how much and how to change it."""
    result = simulate("--service-ms", LIGHT, "--rate", "250/s", "--max-queue-delay-us", "1000", cwd=tmp_path)
    assert result.returncode == 0
    assert "max batch size 8, queue delay 1000 us, 1 instance" in result.stdout
    assert "with no queue delay (--max-queue-delay-us 0)" in result.stdout
    assert "a queue policy that never fires (--no-prefetch)" in result.stdout
    assert "\x1b" not in result.stdout


def test_dynamic_shapes_change_the_batcher(tmp_path: Path) -> None:
    """A model with a sequence axis suffers less from a queue delay."""
    arguments = ("--service-ms", LIGHT, "--rate", "250/s", "--max-queue-delay-us", "1000")
    fixed, dynamic = (document(*arguments, *more, cwd=tmp_path) for more in ((), ("--dynamic-shapes",)))
    assert dynamic["latency_ms"]["p99"] < 0.9 * fixed["latency_ms"]["p99"]  # type: ignore[index]


def test_nothing_to_note_without_a_delay(tmp_path: Path) -> None:
    """Greedy batching has no better queueing setting to offer."""
    assert document("--service-ms", LIGHT, "--rate", "250/s", cwd=tmp_path)["alternatives"] == []


def test_overload_is_said(tmp_path: Path) -> None:
    """A rate above the capacity is a warning: the latency only tells how long the run was."""
    result = simulate("--service-ms", "5,6", "--rate", "900/s", cwd=tmp_path)
    assert "warning: more requests arrive than can be answered" in result.stdout
    assert "333.3/s" in result.stdout


def test_a_trace_brings_its_own_rate(tmp_path: Path) -> None:
    """Without --rate a trace is replayed at the speed it was recorded, with --rate faster or slower."""
    (tmp_path / "monday.csv").write_text("timestamp_s,batch\n10,1\n10.5,1\n12,1\n", encoding="utf-8")
    own = document("--service-ms", "1", "--arrival", "trace:monday.csv", cwd=tmp_path)
    faster = document("--service-ms", "1", "--arrival", "trace:monday.csv", "--rate", "50/s", cwd=tmp_path)
    assert own["throughput_rps"] == pytest.approx(1.0, rel=0.01)
    assert faster["throughput_rps"] == pytest.approx(50.0, rel=0.01)


def test_requests_that_carry_rows(tmp_path: Path) -> None:
    """Rows are drawn, or come from the trace's column batch, priorities likewise; the capacity is in requests."""
    arguments = ("--service-ms", "5,6,7,8", "--rate", "200/s")
    one, mixed = (document(*arguments, *more, cwd=tmp_path) for more in ((), ("--request-batch", "1:0.7,4:0.3")))
    assert mixed["mean_batch_size"] > 1.3 * one["mean_batch_size"]  # type: ignore[operator]
    assert mixed["capacity_rps"] == pytest.approx(500 / 1.9, rel=0.03)
    (tmp_path / "levels.csv").write_text("timestamp_s,priority\n0,2\n0.5,1\n1,2\n", encoding="utf-8")
    levels = document("--service-ms", "5,6", "--arrival", "trace:levels.csv", "--rate", "100/s", cwd=tmp_path)
    assert [each["priority"] for each in levels["priorities"]] == [1, 2]  # type: ignore[attr-defined]
    (tmp_path / "sizes.csv").write_text("timestamp_s,batch\n0,4\n0.5,4\n1,4\n", encoding="utf-8")
    traced = document("--service-ms", "5,6,7,8", "--arrival", "trace:sizes.csv", "--rate", "100/s", cwd=tmp_path)
    assert traced["mean_batch_size"] == 4.0


def test_priorities_and_timeouts(tmp_path: Path) -> None:
    """Latency by level, rejections by level, and the goodput under a latency limit."""
    answer = document(
        *("--service-ms", "5,6,7,8", "--rate", "560/s", "--priorities", "1:0.2,2:0.8", "--queue-timeout-us", "20000"),
        *("--level-policy", "1:timeout-us=0", "--latency-slo", "25ms"),
        cwd=tmp_path,
    )
    high, low = answer["priorities"]  # type: ignore[misc]
    assert high["rejected"] == 0 < low["rejected"] == answer["rejected"]
    assert high["latency_ms"]["p99"] < 0.8 * low["latency_ms"]["p99"]
    assert answer["goodput_rps"] < answer["throughput_rps"]  # type: ignore[operator]


def test_delay_and_own_timeouts(tmp_path: Path) -> None:
    """A timeout that delays rejects nobody; requests' own timeouts shorten it."""
    arguments = ("--service-ms", "5,6,7,8", "--rate", "480/s", "--queue-timeout-us", "20000")
    delayed = document(*arguments, "--timeout-action", "delay", cwd=tmp_path)
    own = document(*arguments, "--request-timeout-us", "2000:0.5,30000:0.5", cwd=tmp_path)
    rejected = document(*arguments, cwd=tmp_path)
    assert delayed["rejected"] == 0
    assert own["rejected"] > rejected["rejected"]  # type: ignore[operator]


def test_a_full_queue_is_said_to_be_dangerous(tmp_path: Path) -> None:
    """Rejections by a queue size carry a note on what the real server then does."""
    arguments = ("--service-ms", "5,6,7,8", "--rate", "700/s", "--max-queue-size", "8", "--requests", "3000")
    result = simulate(*arguments, cwd=tmp_path)
    assert result.returncode == 0
    assert "at most 8 waiting" in result.stdout
    assert "warning: more requests arrive than can be answered; the rest is rejected" in result.stdout
    assert "note: a full queue can make tritonserver 24.10 miss a wake-up" in result.stdout


def test_axis_sizes_split_batches(tmp_path: Path) -> None:
    """Sizes that differ do not share a batch; padded or ragged they do."""
    arguments = ("--axis-ms", "64:4,5,6,7", "--axis-ms", "512:9,12,15,18", "--axis-sizes", "64:0.5,100:0.5")
    split, padded, ragged = (
        document(*arguments, "--rate", "180/s", *more, cwd=tmp_path)["mean_batch_size"]
        for more in ((), ("--bucket", "128,512"), ("--ragged",))
    )
    assert split < padded  # type: ignore[operator]
    assert split < ragged  # type: ignore[operator]


def test_groups_and_overheads(tmp_path: Path) -> None:
    """A slower group adds capacity; overheads add latency."""
    arguments = ("--service-ms", "5", "--rate", "100/s")
    one = document(*arguments, cwd=tmp_path)
    two = document(*arguments, "--group", "1:2", cwd=tmp_path)
    slow = document(*arguments, "--dispatch-us", "300", "--transport-us", "500", cwd=tmp_path)
    assert two["capacity_rps"] == pytest.approx(1.5 * one["capacity_rps"])  # type: ignore[operator]
    assert slow["latency_ms"]["p50"] > one["latency_ms"]["p50"] + 0.5  # type: ignore[index]


def test_an_ensemble_from_a_file(tmp_path: Path) -> None:
    """Each step with its own queue and batches; the host's cores are shared."""
    (tmp_path / "steps.json").write_text(EXAMPLE, encoding="utf-8")
    arguments = ("--ensemble", "steps.json", "--rate", "200/s")
    answer = document(*arguments, cwd=tmp_path)
    assert [step["name"] for step in answer["steps"]] == ["pre", "model", "post"]  # type: ignore[attr-defined]
    assert answer["latency_ms"]["p50"] > 1.5 + 4.5 + 0.8  # type: ignore[index]
    text = simulate(*arguments, "--requests", "2000", cwd=tmp_path).stdout
    assert "pre         no batching, 4 instances, on the host's cores" in text
    assert "model: queue p50" in text


def test_more_requests_than_a_front_end_takes_are_a_warning(tmp_path: Path) -> None:
    """A simulated model may be faster than one server can take requests in."""
    result = simulate("--service-ms", "0.05", "--rate", "15000/s", "--requests", "3000", cwd=tmp_path)
    assert "the front end of one tritonserver takes about 10,000 requests/s" in result.stdout


def test_same_seed_same_output(tmp_path: Path) -> None:
    """Two runs print the same bytes; another seed does not."""
    arguments = ("--service-ms", LIGHT, "--rate", "250/s", "--arrival", "bursty:2.5", "--requests", "2000")
    first, second = (simulate(*arguments, cwd=tmp_path).stdout for _ in range(2))
    assert first == second
    assert simulate(*arguments, "--seed", "1", cwd=tmp_path).stdout != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "100/s"), "Missing option '--service-ms'"),
        (("--service-ms", "5"), "Missing option '--rate', such as --rate 100/s"),
        (("--service-ms", "5", "--rate", "100"), "a rate needs its unit: write 100/s"),
        (("--service-ms", "5", "--rate", "-1/s"), "--rate"),
        (("--service-ms", "5,x", "--rate", "1/s"), "'5,x' is not a list of numbers separated by commas"),
        (("--service-ms", "5,-1", "--rate", "1/s"), "greater than zero"),
        (("--service-ms", "nan", "--rate", "1/s"), "greater than zero"),
        (("--service-ms", "5", "--rate", "1/s", "--max-batch-size", "2"), "times for batches up to 1"),
        (("--service-ms", "5,6", "--rate", "1/s", "--preferred", "3"), "above the maximum batch size 2"),
        (("--service-ms", "5,6", "--rate", "1/s", "--preferred", "a"), "whole numbers"),
        (("--service-ms", "5", "--rate", "1/s", "--arrival", "weekly"), "constant, constant:STREAMS, bursty:CV"),
        (("--service-ms", "5", "--rate", "1/s", "--arrival", "bursty:0"), "bursty:2.5"),
        (("--service-ms", "5", "--arrival", "trace:absent.csv"), "cannot read the trace"),
        (("--service-ms", "5", "--arrival", "trace:bad.csv"), "bad.csv:3: "),
        (("--service-ms", "5", "--rate", "1/s", "--instances", "0"), "--instances"),
        (("--service-ms", "5", "--axis-ms", "64:5", "--rate", "1/s", "--axis-sizes", "64"), "give either"),
        (("--axis-ms", "64:5", "--rate", "1/s"), "needs the sizes of requests"),
        (("--axis-ms", "64", "--rate", "1/s"), "write 128:5.4,8.7,11.9"),
        (("--axis-ms", "64:5", "--axis-ms", "64:6", "--rate", "1/s"), "named twice"),
        (("--service-ms", "5", "--rate", "1/s", "--request-batch", "1:x"), "write 1:0.7,4:0.3"),
        (("--service-ms", "5", "--rate", "1/s", "--request-batch", "1:1,1:1"), "named twice"),
        (("--service-ms", "5", "--rate", "1/s", "--request-batch", "4"), "service times for batches up to 4"),
        (("--service-ms", "5", "--rate", "1/s", "--bucket", "64"), "there are none"),
        (("--axis-ms", "64:5", "--rate", "1/s", "--axis-sizes", "65", "--bucket", "64"), "above the largest bucket"),
        (("--service-ms", "5", "--rate", "1/s", "--level-policy", "1:wait=5"), "no policy of a level"),
        (("--service-ms", "5", "--rate", "1/s", "--level-policy", "1:timeout-us=5"), "--priority-levels 0"),
        (("--service-ms", "5", "--rate", "1/s", "--request-timeout-us", "5"), "below --queue-timeout-us"),
        (("--service-ms", "5", "--rate", "1/s", "--group", "2"), "COUNT:FACTOR"),
        (
            (
                *("--service-ms", "5,6", "--rate", "1/s", "--arrival", "constant"),
                *("--max-queue-delay-us", "9000", "--queue-timeout-us", "10"),
            ),
            "every request is rejected",
        ),
        (("--service-ms", "5", "--rate", "1/s", "--arrival", "constant:0"), "a number of senders"),
        (("--service-ms", "5", "--rate", "1/s", "--arrival", "constant:two"), "a number of senders"),
        (("--ensemble", "fine.json", "--rate", "1/s", "--service-ms", "5"), "leave --service-ms out"),
        (("--ensemble", "absent.json", "--rate", "1/s"), "cannot read absent.json"),
        (("--ensemble", "bad.csv", "--rate", "1/s"), "it is not JSON"),
        (("--ensemble", "typo.json", "--rate", "1/s"), "step a has no field 'sevice_ms'"),
        (("--ensemble", "short.json", "--rate", "1/s"), "service times for batches up to 4"),
    ],
)
def test_bad_options_are_usage_errors(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit 64, the option and the fix, no traceback."""
    (tmp_path / "bad.csv").write_text("timestamp_s\n2\nsoon\n", encoding="utf-8")
    (tmp_path / "fine.json").write_text(EXAMPLE)
    (tmp_path / "typo.json").write_text('{"steps": [{"name": "a", "service_ms": [1], "sevice_ms": [1]}]}')
    (tmp_path / "short.json").write_text('{"steps": [{"name": "a", "service_ms": [1], "max_batch_size": 4}]}')
    result = simulate(*arguments, cwd=tmp_path)
    assert result.returncode == 64
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_imports_nothing_heavy() -> None:
    """The command works without the optional packages."""
    program = (
        "import sys\n"
        "sys.argv = 'infc simulate triton --service-ms 5 --rate 10/s --requests 9'.split()\n"
        "import infc.cli, click\n"
        "try: infc.cli.main()\n"
        "except SystemExit: pass\n"
        "assert not {'onnx', 'onnxruntime', 'tritonclient', 'grpc', 'pydantic'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
