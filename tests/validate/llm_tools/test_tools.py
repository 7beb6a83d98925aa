"""Other load generators: what they are asked, how they are run and ended, and what becomes of their results.

The tools themselves are heavy and are not installed here: programs of a few lines stand in for them, which check what
they are given and leave a result that the real tool made.
"""

import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.ir.llm_measurement import TokenMetric
from infc.ir.problem import LatencyTarget, TokenTraffic
from infc.sim.token_traffic import draw_token_requests
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.load.settings import LlmLoadSettings
from infc.validate.llm_tools import TOOL_NAMES, run_tool
from infc.validate.llm_tools.commands import ToolJob, tool_of
from infc.validate.llm_tools.process import run_to_end
from infc.validate.llm_tools.trace import trace_lines
from tests.validate.llm_import.contracts import contract, target

RESULTS = Path(__file__).parents[1] / "llm_import" / "data"
TARGETS: Mapping[TokenMetric, tuple[LatencyTarget, ...]] = {
    "ttft": (target(50, 30.0), target(99, 40.0)),
    "tpot": (target(50, 3.0),),
}
SETTINGS = LlmLoadSettings(budget_s=12.0, rate_rps=5.0, seed=3, run=7)


def asked() -> LlmContract:
    """What the stand-ins are run for."""
    return contract(TARGETS, rate_rps=5.0)


def job_in(folder: Path, *, shared_prefix: float = 0.0) -> ToolJob:
    """A run of sixty requests."""
    own = asked()
    tokens = TokenTraffic(prompt=own.tokens.prompt, output=own.tokens.output, shared_prefix=shared_prefix)
    return ToolJob(
        url="http://127.0.0.1:8000",
        contract=own,
        tokenizer="/models/demo",
        requests=draw_token_requests(own.traffic.arrival, tokens, 5.0, 60, 3),
        seed=3,
        run=7,
        folder=folder,
    )


def program(path: Path, script: str) -> Path:
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def vllm_stand_in(folder: Path, script: str) -> Path:
    """A `vllm` command that does what the script says, in an environment that tells a version."""
    (folder / "bin").mkdir()
    program(folder / "bin" / "python3", "echo 0.32.0+cpu")
    return program(folder / "bin" / "vllm", script)


def test_traces_are_the_load_of_infc(tmp_path: Path) -> None:
    """Every tool gets the same times and lengths; the hashes of a trace are shared as far as the prefix is."""
    job = job_in(tmp_path, shared_prefix=0.5)
    lines = list(trace_lines(job.requests, job.run))
    assert [line.input_length for line in lines] == job.requests.prompt_tokens.tolist()
    assert [line.output_length for line in lines] == job.requests.output_tokens.tolist()
    waits_s = np.diff([line.timestamp_ms for line in lines]) / 1e3
    assert np.allclose(waits_s, np.diff(job.requests.arrivals_s), atol=2e-6)
    assert all(len(line.hash_ids) == 4 and line.hash_ids[:2] == lines[0].hash_ids[:2] for line in lines)
    own = [hash for line in lines for hash in line.hash_ids[2:]]
    assert len(set(own)) == len(own)
    tool_of("aiperf").arguments(job)
    bodies = [json.loads(line) for line in job.trace.read_text().splitlines()]
    assert [len(body["payload"]["prompt"]) for body in bodies] == job.requests.prompt_tokens.tolist()
    assert bodies[0]["payload"]["model"] == "demo"
    assert bodies[0]["timestamp"] == 0


@pytest.mark.parametrize("name", TOOL_NAMES)
def test_arguments_name_the_contract(name: str, tmp_path: Path) -> None:
    """Server, model, tokeniser, seed and number of requests of the contract; goodput by the loosest limits, in ms."""
    job = job_in(tmp_path)
    words = " ".join(tool_of(name).arguments(job))
    for part in ("http://127.0.0.1:8000", "demo", "/models/demo", "3", str(job.trace)):
        assert part in words
    if name == "aiperf":
        assert "time_to_first_token:40000 inter_token_latency:3000" in words
    if name == "vllm-bench":
        assert "--goodput ttft:40000 tpot:3000" in words
    if name != "aiperf":
        first = json.loads(job.trace.read_text().splitlines()[0])
        assert first.keys() == {"timestamp", "input_length", "output_length", "hash_ids"}


def test_a_tool_is_run_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for AIPerf leaves a real result in the folder that it is told; the contract judges it."""
    script = (
        'test -z "$HF_HUB_OFFLINE" || exit 7\ntest "$DO_NOT_TRACK" = 1 || exit 8\n'
        f'cp -r "{RESULTS / "aiperf"}" result\necho "$@" > arguments'
    )
    monkeypatch.setenv("INFC_AIPERF", str(program(tmp_path / "aiperf", script)))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "run"
    said: list[str] = []
    measurement = run_tool(
        "aiperf", "127.0.0.1:8000", asked(), SETTINGS, folder, tokenizer="/models/demo", announce=said.append
    )
    assert measurement.tool == "aiperf"
    assert measurement.environment["load"] == "aiperf 0.13.0"
    assert 40 <= measurement.requests < 60
    assert measurement.warmup_s == 2.0
    assert measurement.percentiles_s["ttft"]["p50"].low > 0
    assert {each.label for each in measurement.verdicts} == {"ttft p50", "ttft p99", "tpot p50"}
    assert measurement.verdict is not Verdict.FAIL
    assert said == ["aiperf replays 60 requests over 12 s, as the spec has them"]
    assert "--fixed-schedule" in (folder / "arguments").read_text()


def test_a_tool_that_sends_something_else_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guidellm was asked for 4/s and sent 60 requests at once: its failures show nothing of the spec's load."""
    copy = f'cp "{RESULTS / "guidellm-late-workers.json"}" result.json'
    monkeypatch.setenv("INFC_GUIDELLM", str(program(tmp_path / "guidellm", copy)))
    hard = contract({"ttft": (target(50, 0.01),)}, rate_rps=4.0)
    hard = replace(hard, tokens=replace(hard.tokens, shared_prefix=0.3))
    settings = replace(SETTINGS, rate_rps=4.0)
    measurement = run_tool("guidellm", "127.0.0.1:8000", hard, settings, tmp_path / "run", tokenizer="/models/demo")
    assert measurement.verdict is Verdict.INCONCLUSIVE
    assert any("guidellm was asked for 4/s" in note for note in measurement.notes)
    assert any("replays lengths only" in note for note in measurement.notes)


def test_the_trace_tells_when_requests_were_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vllm bench does not say how late it sent; the trace that it replayed does, up to its most punctual request."""
    own = asked()
    result = json.loads((RESULTS / "vllm-bench-detailed.json").read_text())
    requests = draw_token_requests(own.traffic.arrival, own.tokens, 5.0, 80, 3)
    late_s = np.where(np.arange(80) % 4 == 1, 0.25, 0.0)
    result |= {"start_times": (1000.0 + requests.arrivals_s + late_s).tolist(), "request_rate": "inf"}
    (tmp_path / "made.json").write_text(json.dumps(result))
    script = f'while [ "$1" != --result-dir ]; do shift; done; cp "{tmp_path / "made.json"}" "$2/result.json"'
    monkeypatch.setenv("INFC_VLLM", str(vllm_stand_in(tmp_path, script)))
    settings = replace(SETTINGS, budget_s=16.0)
    measurement = run_tool("vllm-bench", "127.0.0.1:8000", own, settings, tmp_path / "run", tokenizer="/models/demo")
    assert measurement.send_lag_p99_s == pytest.approx(0.25, abs=0.05)
    assert measurement.verdict is not Verdict.FAIL
    assert not any("closed loop" in note for note in measurement.notes)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo no such model; exit 3", r"aiperf failed \(exit 3\)"),
        ("exit 0", "is no result that can be imported"),
        ("mkdir result; echo {} > result/profile_export.jsonl", "is no result that can be imported"),
    ],
)
def test_a_tool_that_fails_says_why(script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code, its last words, and where the rest of them is."""
    monkeypatch.setenv("INFC_AIPERF", str(program(tmp_path / "aiperf", script)))
    with pytest.raises(ToolError, match=reason) as raised:
        run_tool("aiperf", "127.0.0.1:8000", asked(), SETTINGS, tmp_path / "run", tokenizer="/models/demo")
    assert raised.value.help is not None


def test_tools_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name, one that is not installed, and a variable that names no program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("INFC_AIPERF", raising=False)
    for name, reason in (("k6", "no load generator k6"), ("aiperf", "aiperf is not installed")):
        with pytest.raises(ToolError, match=reason):
            run_tool(name, "127.0.0.1:8000", asked(), SETTINGS, tmp_path / "run", tokenizer="m")
    monkeypatch.setenv("INFC_AIPERF", str(tmp_path / "nothing"))
    with pytest.raises(ToolError, match="which is no program"):
        run_tool("aiperf", "127.0.0.1:8000", asked(), SETTINGS, tmp_path / "run", tokenizer="m")


def test_a_tool_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    """After its time it is ended, and so is what it started."""
    script = program(tmp_path / "hangs", "(trap '' TERM; exec sleep 1000) & echo $! > child\nwait")
    started = tmp_path / "child"
    for timeout_s in (0.5, 5.0, 50.0):  # a busy machine may not even have started it after the first
        with pytest.raises(ToolError, match="did not end within"):
            run_to_end([str(script)], log=tmp_path / "log", environment=dict(os.environ), timeout_s=timeout_s)
        if started.is_file() and started.read_text():
            break
    child = int(started.read_text())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _lives(child):
        time.sleep(0.02)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
