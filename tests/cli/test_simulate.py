"""`infc simulate triton` as its user sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.report.simulation_schema import simulation_schema

LIGHT = "4.5,5,5.5,6,6.5,7,7.5,8"


def simulate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in `cwd`, piped."""
    command = [sys.executable, "-c", "from infc.cli import main; main()", "simulate", "triton", *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"}
    )


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
        (("--service-ms", "5", "--rate", "1/s", "--arrival", "weekly"), "none of poisson, constant, bursty:CV"),
        (("--service-ms", "5", "--rate", "1/s", "--arrival", "bursty:0"), "bursty:2.5"),
        (("--service-ms", "5", "--arrival", "trace:absent.csv"), "cannot read the trace"),
        (("--service-ms", "5", "--arrival", "trace:bad.csv"), "bad.csv:3: "),
        (("--service-ms", "5", "--rate", "1/s", "--instances", "0"), "--instances"),
    ],
)
def test_bad_options_are_usage_errors(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit 64, the option and the fix, no traceback."""
    (tmp_path / "bad.csv").write_text("timestamp_s\n2\nsoon\n", encoding="utf-8")
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
