"""A language model end to end, as `make demo-llm` does it: compiled, served by a real vLLM on the CPU, judged."""

import json
import shutil
from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.diag import ToolError
from infc.emit.manifest import verify_bundle
from infc.serve.vllm_installation import find_vllm
from tests.pipeline.conftest import ROOT

SPEC = "tiny-llama.infc.yaml"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example in a workspace of its own, which is the current folder."""
    folder = tmp_path / "tiny-llama"
    shutil.copytree(ROOT / "specs" / "tiny-llama", folder)
    monkeypatch.chdir(folder)
    return folder


def infc(*arguments: str) -> int:
    """Run the command line in the current folder."""
    return guarded(app, usage_error=64, args=list(arguments))


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)  # a busy machine takes minutes to start vLLM
def test_the_emitted_files_start_a_server_that_holds_the_slo(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """serve.yaml starts vLLM unedited; the verdict is pass; what was measured makes the lock outdated, not stale."""
    try:
        is_cpu = find_vllm().is_cpu
    except ToolError as error:
        pytest.skip(str(error))
    if not is_cpu:
        pytest.skip("the vLLM here is built for GPUs")
    code = infc("compile", SPEC, "--validate", "--format", "json")
    [bundle] = json.loads(capsys.readouterr().out)["bundles"]
    if code != 0 and any(note.startswith("other work took") for note in bundle["measurement"]["notes"]):
        pytest.skip("other work on this machine slowed the server")
    assert (code, bundle["measurement"]["verdict"]) == (0, "pass")
    assert bundle["measurement"]["load"]["errors"] == 0
    assert verify_bundle(workspace / "dist" / "tiny-llama") == ()
    locked = (workspace / "infc.lock").read_bytes()
    assert infc("lock", "--check") == 0
    assert infc("compile", SPEC, "--locked") == 0
    assert (workspace / "infc.lock").read_bytes() == locked
