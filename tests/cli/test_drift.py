"""`infc drift` as its users see it: exit codes, the report in both formats, what stands in its way."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.diag import ToolError
from infc.lock import read_lock, update_lock
from infc.report.drift_json import drift_schema
from infc.resolve.targets import data_directory
from tests.pipeline.vllm_pages import SPEC as RECORDED_SPEC
from tests.pipeline.vllm_pages import as_recorded, recorded_pages, serving

SPECS = data_directory("targets").parent / "specs"
SPEC = "tiny-llama/tiny-llama.infc.yaml"

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="the examples are part of a checkout, not of a wheel")

Infc = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that holds the spec, locked with the limits that the recorded server had."""
    root = tmp_path_factory.mktemp("workspace")
    (root / ".git").mkdir()
    write_spec(root)
    here = Path.cwd()
    os.chdir(root)
    try:
        assert app.main(["lock", SPEC], standalone_mode=False) == 0
    finally:
        os.chdir(here)
    lock, problems = read_lock(root / "infc.lock")
    assert lock is not None, problems
    assert update_lock(root / "infc.lock", [as_recorded(entry) for entry in lock.entries], []) == ()
    return root


def write_spec(root: Path) -> None:
    """The spec that the server was recorded for, with its model."""
    shutil.copytree(SPECS / "tiny-llama" / "model", root / "tiny-llama" / "model")
    (root / SPEC).write_text(RECORDED_SPEC)


@pytest.fixture
def infc(locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """Run a command in the workspace: exit code, stdout, stderr."""
    monkeypatch.chdir(locked)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = app.main(list(arguments), standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_server_without_traffic_is_what_was_locked(infc: Infc) -> None:
    """Nothing drifted in a second without requests, and nothing is known of the SLO: exit 6, both formats."""
    with serving(recorded_pages().pages) as url:
        code, text, said = infc("drift", SPEC, "--endpoint", url, "--window", "1s", "--detailed")
    assert code == 6
    assert "0 requests finished in 1 s" in text
    assert "cannot tell" in text
    assert f"watching {url} for 1 s" in said


def test_drift_is_exit_4_and_json_of_its_schema(infc: Infc) -> None:
    """Another version runs: the JSON says what was expected and seen, and validates."""
    changed = recorded_pages().but("/version", "0.32.0", "0.31.1")
    with serving(changed.pages) as url:
        code, text, _ = infc("drift", SPEC, "--endpoint", url, "--window", "1s", "--format", "json")
    document = json.loads(text)
    Draft202012Validator(drift_schema()).validate(document)
    assert (code, document["verdict"]) == (4, "drifted")
    (item,) = [each for each in document["items"] if each["verdict"] == "drifted"]
    assert (item["id"], item["expected"], item["observed"]) == ("version", "0.32.0", "0.31.1")


def test_a_missed_objective_is_exit_3(infc: Infc) -> None:
    """Everything since its start holds a burst that the recorded server did not bear: the TTFT is missed."""
    with serving(recorded_pages().pages) as url:
        code, text, _ = infc("drift", SPEC, "--endpoint", url, "--since-start")
    assert code == 3
    assert "the SLO is missed" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_changed_spec_is_a_stale_lock(infc: Infc, locked: Path) -> None:
    """What runs is compared with a plan that the spec no longer has: the lock is what drifted."""
    spec = locked / SPEC
    written = spec.read_text()
    spec.write_text(written.replace("rate: 4/s", "rate: 3/s"))
    try:
        with serving(recorded_pages().pages) as url:
            code, text, _ = infc("drift", SPEC, "--endpoint", url, "--window", "1s")
    finally:
        spec.write_text(written)
    assert code == 4
    assert "stale: spec changed" in text


def test_what_is_not_locked_is_exit_4(infc: Infc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec without an entry, and a target that is none of its own: what the lock holds is named."""
    code, _, said = infc("drift", SPEC, "--endpoint", "127.0.0.1:1", "--target", "l4")
    assert code == 4
    assert "lock-missing" in said
    assert "it holds the targets cpu" in said
    write_spec(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, _, said = infc("drift", SPEC, "--endpoint", "127.0.0.1:1")
    assert code == 4
    assert "infc compile" in said


def test_edge_devices_have_no_endpoint(infc: Infc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment on Jetson modules is asked over ssh: the command for that is named."""
    monkeypatch.chdir(SPECS)
    spec, target = "dock-camera/dock-camera.infc.yaml", "jetson-orin-nano-8gb@7W"
    code, _, said = infc("drift", spec, "--target", target, "--endpoint", "127.0.0.1:1")
    assert code == 4
    assert "drift-server" in said
    assert "ssh://DEVICE" in said


def test_a_server_that_is_not_there_is_an_error(infc: Infc) -> None:
    """Nobody answers: a tool error with the address, not a report."""
    with pytest.raises(ToolError, match=r"127\.0\.0\.1:1"):
        infc("drift", SPEC, "--endpoint", "127.0.0.1:1", "--since-start")
