"""`infc simulate arrivals` as its user sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from infc.ir.arrival import BurstyArrival, DiurnalArrival, PoissonArrival, diurnal_multipliers
from infc.ir.spec import BurstySpec, DiurnalSpec, TraceSpec
from infc.report.trace_fit import TraceReport, render_trace_json, render_trace_text
from infc.report.trace_fit_schema import arrivals_schema
from infc.sim.arrivals import arrival_times_s
from infc.sim.trace_fit import fit_arrivals
from infc.spec import load_spec
from infc.spec.trace import read_recorded

HEAD = "model: {onnx: model.onnx}\nslo: {latency: {p99: 25ms}}\n"
LLM = "model: {huggingface: {repo: a/b, revision: " + "0" * 40 + "}}\nslo: {ttft: {p99: 500ms}}\n"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in `cwd`, piped."""
    command = [sys.executable, "-c", "from infc.cli import main; main()", "simulate", "arrivals", *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"}
    )


def report(folder: Path, text: str, name: str = "t.csv") -> TraceReport:
    """The report on a trace with this text."""
    (folder / name).write_text(text, encoding="utf-8")
    found, problems = read_recorded(folder / name, name, name)
    assert found is not None, problems
    return TraceReport(fit=fit_arrivals(found.arrival), format=found.format, tick_s=found.tick_s)


def csv(times_s: np.typing.NDArray[np.float64], **columns: int) -> str:
    """A trace with these times, and the same sizes in each line."""
    sizes = "".join(f",{size}" for size in columns.values())
    return ",".join(["timestamp_s", *columns]) + "\n" + "".join(f"{time_s:.6f}{sizes}\n" for time_s in times_s)


def test_text_and_json_on_the_command_line(tmp_path: Path) -> None:
    """Both formats, one for reading and one by its schema; nothing on stderr."""
    (tmp_path / "monday.csv").write_text(csv(arrival_times_s(PoissonArrival(), 20.0, 3000, 1), prompt_tokens=7))
    text = run("monday.csv", cwd=tmp_path)
    assert text.returncode == 0, text.stderr
    assert not text.stderr
    assert "monday.csv: CSV, 3,000 requests" in text.stdout
    assert "fit         good" in text.stdout
    assert "  arrival: poisson\n  prompt_tokens: {p50: 7, p90: 7, p99: 7, max: 7}\n" in text.stdout
    answer = json.loads(run("monday.csv", "--format", "json", cwd=tmp_path).stdout)
    Draft202012Validator(arrivals_schema()).validate(answer)
    assert answer["process"]["kind"] == "poisson"
    assert answer["is_good"] is True


def test_a_file_that_is_no_trace_is_a_diagnostic(tmp_path: Path) -> None:
    """Exit 5, the line, the fix, no traceback; a wrong period is a usage error."""
    (tmp_path / "bad.csv").write_text("timestamp_s\n1\nnoon\n")
    result = run("bad.csv", cwd=tmp_path)
    assert result.returncode == 5
    assert "bad.csv:3:1" in result.stderr
    assert "help: write seconds" in result.stderr
    assert not result.stdout
    assert run("bad.csv", "--period", "soon", cwd=tmp_path).returncode == 64


@pytest.mark.parametrize("arrival", [PoissonArrival(), BurstyArrival(cv=2.5), BurstyArrival(cv=0.4), None])
def test_the_workload_loads_in_a_spec(tmp_path: Path, arrival: PoissonArrival | BurstyArrival | None) -> None:
    """Whatever the process, the block is valid in a spec, and asks for what was found."""
    generator = np.random.default_rng(0)
    times_s = np.repeat(np.cumsum(generator.exponential(10.0, 100)), 30)
    times_s = times_s + generator.random(len(times_s)) if arrival is None else arrival_times_s(arrival, 0.02, 3000, 1)
    found = report(tmp_path, csv(np.sort(times_s), prompt_tokens=7, output_tokens=9))
    (tmp_path / "s.infc.yaml").write_text(LLM + json.loads(render_trace_json(found))["workload"] + "\n")
    loaded = load_spec(tmp_path / "s.infc.yaml")
    assert not [d for d in loaded.diagnostics if d.span and d.span.line > 2 and d.id != "spec-deferred"]
    assert loaded.partial is not None
    workload = loaded.partial.workload
    assert workload.rate_rps == pytest.approx(found.fit.rate_rps, rel=1e-3)
    assert workload.prompt_tokens is not None
    match arrival:
        case None:
            assert isinstance(workload.arrival, TraceSpec)
            assert loaded.trace is not None
        case PoissonArrival():
            assert workload.arrival == "poisson"
        case BurstyArrival():
            assert isinstance(workload.arrival, BurstySpec)


def test_the_course_of_a_day_loads_in_a_spec(tmp_path: Path) -> None:
    """With its hours, from midnight where the log says when that is; axes have their sizes."""
    day = DiurnalArrival(multipliers=diurnal_multipliers(3.0), cv=1.5)
    found = report(tmp_path, csv(arrival_times_s(day, 0.3, 60_000, 2), sequence=12))
    (tmp_path / "model.onnx").touch()
    (tmp_path / "s.infc.yaml").write_text(HEAD + json.loads(render_trace_json(found))["workload"] + "\n")
    loaded = load_spec(tmp_path / "s.infc.yaml")
    assert loaded.spec is not None, loaded.diagnostics
    assert isinstance(loaded.spec.workload.arrival, DiurnalSpec)
    assert loaded.spec.workload.arrival.diurnal.hourly is not None
    assert loaded.spec.workload.arrival.diurnal.cv == pytest.approx(1.5, rel=0.1)
    assert loaded.spec.workload.axes["sequence"].max == 12


def test_what_a_fit_misses_is_said(tmp_path: Path) -> None:
    """Long bursts, ticks and a moving rate are notes that name the remedy."""
    generator = np.random.default_rng(3)
    rates = np.where(np.arange(1800) // 30 % 2, 40, 4) * np.linspace(1, 2, 1800)
    seconds = np.repeat(np.arange(1800), generator.poisson(rates))
    line = '::1 - - [10/Oct/2000:13:{:02d}:{:02d} -0700] "GET / HTTP/1.0" 200 1\n'
    text = "".join(line.format(second // 60, second % 60) for second in seconds)
    shown = render_trace_text(report(tmp_path, text, "access.log"))
    assert "fit         poor: a plan should replay the trace" in shown
    assert "note: bursts last longer than independent gaps can make them" in shown
    assert "note: the times are multiples of 1 s" in shown
    assert "times that of the first" in shown
    assert 'arrival: {trace: "access.log"}' in shown


def test_few_requests_are_replayed(tmp_path: Path) -> None:
    """And the note says why."""
    shown = render_trace_text(report(tmp_path, "timestamp_s\n0\n1\n3\n"))
    assert "fewer than 100 requests" in shown
    assert "trace: " in shown
