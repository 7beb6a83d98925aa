"""The simulator against the real vLLM, where an environment with it is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
VARIABLE = "INFC_VLLM_ENV"

needs_vllm = pytest.mark.skipif(
    not (Path(os.environ.get(VARIABLE, "/nonexistent")) / "bin" / "vllm").exists(),
    reason=f"{VARIABLE} names no Python environment with vLLM 0.32",
)


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A benchmark in its own process; it exits 1 when its goal is missed."""
    command = [sys.executable, script, "--vllm-env", os.environ[VARIABLE], *arguments]
    return subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)


@pytest.mark.slow
@needs_vllm
def test_equal_to_the_scheduler_of_vllm() -> None:
    """Requests through vLLM's own scheduler code on a simulated clock get their tokens at the same times."""
    done = run("sim_vs_scheduler.py", "--cases", "12", "--requests", "150", "--no-file")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.server
@needs_vllm
def test_close_to_a_real_server() -> None:
    """A vLLM server with a worker of known pace is met within the goals, from a probe of its steps alone."""
    done = run("sim_vs_vllm.py", "--only", "light")
    assert done.returncode == 0, done.stdout + done.stderr
