"""Step times of a real vLLM on a real GPU: measured, fitted, stored, and taken by the next plan."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from infc.cli.calibrate import command
from infc.diag import ToolError
from infc.ir.hardware import Hardware
from infc.resolve.llm_json import step_times_from_text
from infc.serve.vllm_installation import VLLM_VARIABLE, find_vllm

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.server]
EXAMPLE = Path(__file__).parents[2] / "specs" / "tiny-llama"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The example in a workspace of its own."""
    try:
        installation = find_vllm()
    except ToolError as error:
        pytest.skip(f"{error} ({error.help})")
    if installation.is_cpu:
        pytest.skip(f"{VLLM_VARIABLE} names a vLLM built for CPUs")
    (tmp_path / ".git").mkdir()
    shutil.copytree(EXAMPLE, tmp_path / "tiny-llama", ignore=shutil.ignore_patterns(".infc", "dist"))
    return tmp_path / "tiny-llama" / "tiny-llama.infc.yaml"


def test_a_gpu_server_is_measured(spec: Path, hardware: Hardware) -> None:
    """Under asynchronous scheduling the log has the same steps; their times and what is around them are positive."""
    arguments = [str(spec), "--hardware", hardware.id, "--budget", "30s", "--format", "json"]
    result = CliRunner().invoke(command, arguments, standalone_mode=False, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["hardware"] == hardware.id
    assert document["environment"]["server"].startswith("vllm ")
    assert document["fit"]["median_error"] < 0.25
    [stored] = sorted((spec.parents[1] / "infc-profiles").glob("step-time-*.json"))
    profile = step_times_from_text(stored.read_text(encoding="utf-8"))
    assert {point.decode_seqs for point in profile.points} >= {1, 2}
    assert profile.overhead_s is not None
    assert profile.request_s is not None
