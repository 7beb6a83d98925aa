"""The larger examples compile end to end: planned, lowered, gated on real data, built and emitted."""

import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.manifest import verify_bundle

pytest.importorskip("onnxruntime", reason="lowers and evaluates with the extra onnx")
pytest.importorskip("tritonclient", reason="emits with the extra triton")
pytest.importorskip("tensorrt_rtx", reason="builds with the extra rtx")
SPECS = Path(__file__).resolve().parents[2] / "specs"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["efficientnet-lite0", "magika", "minilm"])
def test_example_compiles(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0, an intact bundle with a TensorRT-RTX engine for the planned GPU, and passing evidence in the lock."""
    if not list((SPECS / name).glob("*.onnx")):
        pytest.skip("`make models` has not been run")
    shutil.copytree(SPECS / name, tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    monkeypatch.setattr(sys, "argv", ["infc", "compile", f"{name}.infc.yaml"])
    assert guarded(app, usage_error=64) == 0
    bundle = tmp_path / name / "dist" / name
    assert verify_bundle(bundle) == ()
    assert (bundle / "model_repository" / name / "1" / "model.plan").read_bytes()[:4] == b"vtrt"
    [block] = tomllib.loads((tmp_path / name / "infc.lock").read_text())["artifact"]
    assert block["name"] == name
    assert block["accuracy"]["verdict"] == "pass"
