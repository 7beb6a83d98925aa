"""`make gpu`'s report: whole or not at all, with what was measured beside what was predicted."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from infc.validate.session import has_gpu

from .checks import MODEL
from .stand_in import GpuCuda, Nvml, RuntimeTensorRT, machine_with_gpu

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


@pytest.fixture
def gpu_report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("gpu_report")


@pytest.fixture
def l4(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has one."""
    with machine_with_gpu(monkeypatch, GpuCuda(), RuntimeTensorRT(MODEL), Nvml()):
        yield


def test_without_a_gpu_nothing_is_left(
    gpu_report: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and exits non-zero."""
    if has_gpu():
        pytest.skip("this machine has one")
    assert gpu_report.main(["--output", str(tmp_path / "gpu-report")]) == 1
    assert "this machine has no NVIDIA GPU; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_the_catalogue_lacks_is_told(
    gpu_report: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do about it."""
    with machine_with_gpu(monkeypatch, GpuCuda("NVIDIA TITAN V", (7, 0), 12.0), RuntimeTensorRT(MODEL), Nvml()):
        assert gpu_report.main(["--output", str(tmp_path / "gpu-report")]) == 1
    assert "NVIDIA TITAN V (compute capability 7.0, 12.0 GiB) is not in targets/hardware" in capsys.readouterr().err


def test_report_holds_what_was_measured(gpu_report: ModuleType, l4: None, tmp_path: Path) -> None:
    """JSON, Markdown and the profiles; an older report gives way whole, and nothing else is left beside it."""
    pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")
    output = tmp_path / "gpu-report"
    output.mkdir()
    (output / "old.md").write_text("an older one")
    arguments = ["--no-tests", "--specs", "fashion-mnist", "--precisions", "fp16,fp4", "--batches", "1,4"]
    assert gpu_report.main([*arguments, "--budget", "1", "--output", str(output)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["gpu-report"]
    assert sorted(path.name for path in output.iterdir()) == ["profiles", "report.json", "report.md"]
    report = json.loads((output / "report.json").read_text())
    fp16, fp4 = report["models"]
    assert report["gpu"]["hardware"] == "l4"
    assert report["gpu"]["driver"] == "580.65.06"
    assert [point["batch_size"] for point in fp16["profile"]["points"]] == [1, 4]
    assert fp16["engine"]["kind"] == "tensorrt_rtx"
    assert fp16["engine"]["layer_types"]
    assert "FP4 needs" in fp4["refused"]
    page = (output / "report.md").read_text()
    assert page.startswith("# infc on NVIDIA L4\n")
    assert "| fashion-mnist | fp16 | tensorrt_rtx | 4 |" in page
    assert "| fashion-mnist | fp4 | refused: " in page
    assert len(list((output / "profiles").iterdir())) == 1


def test_cases_of_pytest_are_read_with_what_they_recorded(gpu_report: ModuleType) -> None:
    """Outcome, first line of the reason, properties."""
    text = (
        '<testcase name="a[fp16]"><properties><property name="agreement" value="1.0"/></properties></testcase>',
        '<testcase name="b"><skipped message="this machine has no NVIDIA GPU"/></testcase>',
        '<testcase name="c"><failure message="assert 1 == 2&#10;more">long</failure></testcase>',
        '<testcase name="d"><error message="">long</error></testcase>',
    )
    cases = [gpu_report.case_from(gpu_report.ET.fromstring(case)) for case in text]
    assert [case["outcome"] for case in cases] == ["passed", "skipped", "failed", "failed"]
    assert cases[0]["recorded"] == {"agreement": "1.0"}
    assert [case["reason"] for case in cases[1:]] == ["this machine has no NVIDIA GPU", "assert 1 == 2", ""]
    assert "gpu_report_text" in sys.modules
