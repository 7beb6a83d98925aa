"""The checks that GPU machines run, against a stand-in for an L4: real lowering, real TensorRT-RTX builds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infc.diag import Diagnostic
from infc.ir.precision import Precision
from infc.resolve.targets import load_catalogue
from infc.validate.gpu import find_gpus

from .checks import MODEL, Machine, check_answers, check_calibration, check_gate
from .stand_in import GpuCuda, Nvml, RuntimeTensorRT, machine_with_gpu

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")


@pytest.fixture
def l4(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    """A machine that has one, whose engines are the FP32 model in truth."""
    hardware = load_catalogue(None).find("l4")
    assert hardware is not None
    with machine_with_gpu(monkeypatch, GpuCuda(), RuntimeTensorRT(MODEL), Nvml()):
        found = find_gpus()
        assert not isinstance(found, Diagnostic)
        yield Machine(device=found[0], hardware=hardware, kind="tensorrt_rtx", folder=tmp_path)


def test_answers_and_the_gate_are_checked(l4: Machine) -> None:
    """The engine is built in FP16; answers and accuracy are those of the device that runs it."""
    check_answers(l4, Precision.FP16)
    check_gate(l4, Precision.FP16)


def test_calibration_is_checked(l4: Machine) -> None:
    """Measured, stored, planned with."""
    profile = check_calibration(l4, Precision.FP16)
    assert profile["hardware"] == "l4"
