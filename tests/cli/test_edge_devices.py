"""`infc validate BUNDLE ssh://DEVICE` and `infc drift SPEC ssh://DEVICE...` as their users see them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.diag import DiagnosticError, ToolError
from infc.report.drift_fleet import fleet_drift_schema
from infc.report.edge_json import edge_validation_schema
from infc.resolve.targets import data_directory
from tests.edge.far_device import far_device
from tests.pipeline.jetson_spec import NAME, SPEC, write_spec

MODEL = data_directory("targets").parent / "specs" / "fashion-mnist"
pytestmark = pytest.mark.skipif(not MODEL.is_dir(), reason="the examples are part of a checkout, not of a wheel")
Infc = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a spec for an Orin NX 16GB, planned and locked, not compiled.

    The power mode is fixed: one that was measured is not compared with others that were only predicted.
    """
    root = tmp_path_factory.mktemp("workspace")
    (root / ".git").mkdir()
    for name in ("resnet8.onnx", "calibration-256.npz"):
        shutil.copyfile(MODEL / name, root / name)
    write_spec(
        root,
        modules=("jetson-orin-nx-16gb",),
        jetson={"power_mode": "15W"},
        slo={"latency": {"p90": "1s"}},
        workload={"arrival": "constant", "rate": "20/s"},
    )
    here = Path.cwd()
    os.chdir(root)
    try:
        assert app.main(["lock", SPEC], standalone_mode=False) == 0
    finally:
        os.chdir(here)
    return root


@pytest.fixture
def infc(locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """Run a command in the workspace: exit code, stdout, stderr."""
    monkeypatch.chdir(locked)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = app.main(list(map(str, arguments)), standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("validate", "ssh://orin-3"), "name the bundle first"),
        (("validate", "nowhere", "ssh://orin-3"), "neither a bundle nor a spec"),
        (("validate", SPEC, "ssh://orin-3"), "holds no bundle of"),
        (("validate", SPEC, "orin-3"), "is no device"),
        (("validate", SPEC, "ssh://orin-3", "--rehearse"), "--rehearse is not for devices"),
        (("validate", SPEC, "ssh://orin-3", "--budget", "30s"), "--budget is not for devices"),
        (("validate", SPEC, "--dry-run"), "--dry-run is for devices"),
        (("drift", SPEC), "name what runs"),
        (("drift", SPEC, "orin-3"), "is no device"),
        (("drift", SPEC, "ssh://orin-3", "--endpoint", "http://gpu:8000"), "one thing only"),
    ],
)
def test_wrong_usage_says_what_to_write(infc: Infc, arguments: tuple[str, ...], words: str) -> None:
    """Before anybody is connected to."""
    with pytest.raises(click.UsageError) as raised:
        infc(*arguments)
    assert words in raised.value.message


def test_a_folder_without_bundles_is_named(infc: Infc, tmp_path: Path) -> None:
    """And so is a list of devices with a line that is no address, or with none at all."""
    with pytest.raises(ToolError, match=r"holds no \.tar\.zst"):
        infc("validate", tmp_path, "ssh://orin-3")
    devices = tmp_path / "devices.txt"
    devices.write_text("# the lab\nssh://orin-1  # by the window\n\norin-2\n")
    with pytest.raises(click.UsageError, match=r"devices\.txt:4: 'orin-2' is no device"):
        infc("drift", SPEC, "--devices", devices)
    devices.write_text("# nobody\n")
    with pytest.raises(click.UsageError, match="holds no address"):
        infc("drift", SPEC, "--devices", devices)


def test_devices_that_do_not_answer_are_part_of_the_table(infc: Infc, tmp_path: Path) -> None:
    """Exit 1: nothing is known to be wrong, nothing to be right. A single one is an error of its own."""
    config = tmp_path / "config"
    config.write_text("Host *\n  HostName 127.0.0.1\n  Port 1\n")
    one, two = (f"ssh://{name}?config={config}" for name in ("orin-1", "orin-2"))
    code, text, _ = infc("drift", SPEC, one, two)
    assert (code, text.count("no answer")) == (1, 3)
    code, text, said = infc("drift", SPEC, "--endpoint", one)
    assert (code, text) == (1, "")
    assert "ssh://orin-1 cannot be reached" in said
    code, text, _ = infc("drift", SPEC, one, two, "--format", "json")
    document = json.loads(text)
    Draft202012Validator(fleet_drift_schema()).validate(document)
    assert (code, document["verdict"]) == (1, "no-answer")


def test_a_deployment_on_a_server_is_not_asked_over_ssh(infc: Infc) -> None:
    """Nor one on devices over HTTP; each says the other way."""
    code, _, said = infc("drift", SPEC, "--endpoint", "http://127.0.0.1:1")
    assert code == 4
    assert f"infc drift {SPEC} ssh://DEVICE" in said
    code, _, said = infc("drift", SPEC, "ssh://orin-3", "--target", "cpu")
    assert code == 4
    assert "holds no deployment" in said


@pytest.mark.slow
@pytest.mark.server
def test_compile_sign_validate_plan_drift(infc: Infc, locked: Path, tmp_path: Path) -> None:
    """The measurement comes back, the next plan rests on it, and every change of the device is seen."""
    assert infc("compile", SPEC)[0] == 0
    bundle = f"dist/{NAME}"
    with far_device(tmp_path) as device:
        with pytest.raises(DiagnosticError, match="edge-unsigned"):
            infc("validate", bundle, device.text)
        assert infc("sign", "--new-key", tmp_path / "release.pem")[0] == 0
        assert infc("sign", bundle, "--key", tmp_path / "release.pem")[0] == 0
        with pytest.raises(DiagnosticError, match="edge-not-trusted"):
            infc("validate", bundle, device.text)
        device.trust(tmp_path / "release.pub.pem")
        assert infc("drift", SPEC, device.text)[0] == 4
        code, text, said = infc("validate", SPEC, device.text, "--keep-timing-cache", "--format", "json")
        assert code == 0, said
        document = json.loads(text)
        Draft202012Validator(edge_validation_schema()).validate(document)
        assert (document["outcome"], document["verdict"]) == ("in service", "pass")
        assert "stored measured service times" in said
        assert (locked / "infc-profiles" / "timing-10.3.0-jetson-orin-nx-16gb.cache").stat().st_size > 0
        _, text, _ = infc("plan", SPEC, "--format", "json")
        assert json.loads(text)["specs"][0]["estimate"]["basis"] == "measured"

        assert _deployment(infc, device.text) == {}
        assert device.device.run(device.device.path("/usr/local/bin/nvpmodel"), "-m", "1").code == 0
        assert _deployment(infc, device.text) == {"power-mode": ("15W", "10W")}
        device.device.set(tensorrt="10.7.0")
        found = _deployment(infc, device.text)
        assert (found["tensorrt"], "engine" in found) == (("10.3.0", "10.7.0"), True)
        release = device.device.file("/etc/nv_tegra_release")
        release.write_text(release.read_text().replace("REVISION: 4.3", "REVISION: 4.4"))
        assert _deployment(infc, device.text)["l4t"] == ("36.4.3", "36.4.4")
    shutil.rmtree(locked / "dist")


def _deployment(infc: Infc, address: str) -> dict[str, tuple[str, str] | None]:
    """What drifted of what runs: expected and seen; None for keys, which are digests."""
    _, text, _ = infc("drift", SPEC, address, "--format", "json")
    items = (item for item in json.loads(text)["items"] if item["area"] == "deployment")
    drifted = (item for item in items if item["verdict"] == "drifted")
    return {item["id"]: None if item["id"] == "engine" else (item["expected"], item["observed"]) for item in drifted}
