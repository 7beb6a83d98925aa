"""`infc drift` on a real vLLM that serves a compiled bundle with one limit changed by hand."""

import json
import os
import shutil
from pathlib import Path

import pytest

from infc.cli import app
from infc.diag import ToolError
from infc.resolve.targets import data_directory
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import VllmInstallation, find_vllm

EXAMPLE = data_directory("targets").parent / "specs" / "tiny-llama"
SPEC = "tiny-llama/tiny-llama.infc.yaml"

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(1200)]


def vllm_here() -> VllmInstallation:
    """The vLLM of this machine; the test is skipped where there is none for a CPU."""
    try:
        installation = find_vllm()
    except ToolError as error:
        pytest.skip(f"needs vLLM: {error}")
    if not installation.is_cpu:
        pytest.skip("needs a vLLM built for CPUs")
    return installation


def test_one_changed_limit_of_a_real_server_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle is compiled and served with 4 sequences instead of the planned ones: that drifted, and nothing else."""
    installation = vllm_here()
    (tmp_path / ".git").mkdir()
    shutil.copytree(EXAMPLE, tmp_path / "tiny-llama")
    monkeypatch.chdir(tmp_path)
    assert app.main(["compile", SPEC], standalone_mode=False) == 0
    (config,) = Path("dist").glob("*/serve.yaml")
    server = VllmServer(
        config,
        workdir=tmp_path / "server",
        installation=installation,
        overrides={"max-num-seqs": 4},
        variables={"VLLM_SERVER_DEV_MODE": "1"},
    )
    with server:
        capsys.readouterr()
        arguments = ["drift", SPEC, "--endpoint", server.url, "--window", "2s", "--format", "json"]
        code = app.main(arguments, standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    by_verdict = {item["id"]: item["verdict"] for item in document["items"] if item["area"] == "deployment"}
    assert {id for id, verdict in by_verdict.items() if verdict == "drifted"} == {"max-num-seqs"}
    assert {id for id, verdict in by_verdict.items() if verdict == "not visible"} == {"weights"}
    assert code == 4
    assert os.environ.get("VLLM_SERVER_DEV_MODE") is None
