"""The checks that GPU machines run, against a stand-in for an L4: real lowering, real TensorRT-RTX builds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infc.diag import Diagnostic
from infc.ir.precision import Precision
from infc.resolve.targets import load_catalogue
from infc.validate.gpu import find_gpus
from infc.validate.session import has_gpu

from .checks import MODEL, Machine, check_answers, check_bundle, check_calibration, check_gate
from .rtx_probe import capability_mask, engine_for, loading_outcome
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


@pytest.mark.slow
def test_a_bundle_is_compiled_and_tested_on_the_device(l4: Machine) -> None:
    """The engine in it was tested by the gate on the GPU; its backend comes with the runner of engines."""
    bundle = check_bundle(l4, Precision.FP16)
    assert (bundle / "backends" / "tensorrt_rtx" / "engine_runner.py").is_file()


def test_tensorrt_rtx_is_asked_what_it_does_here() -> None:
    """Its default engine is for six capabilities, one of them undocumented; without a GPU the present one is refused.

    The real library answers, not a stand-in: on a GPU the same questions tell what works there.
    """
    plan = engine_for(None)
    assert isinstance(plan, bytes)
    assert capability_mask(plan) == 0x7E
    if not has_gpu():
        assert "Cuda Runtime" in str(engine_for("CURRENT"))
        assert loading_outcome(plan).startswith("refused: ")
