"""The stand-ins have no name that the packages they stand in for have not."""

import inspect
from types import ModuleType

import pytest

from tests.emit.device_stand_in import TensorIOMode, TensorLocation

from .stand_in import GpuCuda, Nvml, OnnxContext, OnnxEngine, RuntimeTensorRT


def public(kind: type, prefix: str = "") -> set[str]:
    """Names that a stand-in defines itself, those of its helpers left out."""
    own = {name for each in kind.__mro__ if each not in (object, ModuleType) for name in vars(each)}
    return {name for name in own if name.startswith(prefix) and not name.startswith("_")}


def test_cuda_has_every_name() -> None:
    """Functions, with as many parameters, and error codes."""
    real = pytest.importorskip("cuda.bindings.runtime", reason="the extra `gpu` is not installed")
    names = public(GpuCuda, "cuda")
    assert {"cudaEventRecord", "cudaMemcpyAsync", "cudaGetDeviceProperties"} <= names
    assert [name for name in sorted(names) if not hasattr(real, name)] == []
    for name in names:
        ours = getattr(GpuCuda, name)
        if inspect.isfunction(ours):
            said = (getattr(real, name).__doc__ or "").splitlines()[0]
            taken = said[said.index("(") + 1 : said.rindex(")")]
            count = len([part for part in taken.split(",") if part.strip()])
            assert count == len(inspect.signature(ours).parameters) - 1, said


def test_nvml_has_every_name() -> None:
    """Functions, constants and errors."""
    real = pytest.importorskip("pynvml", reason="the extra `gpu` is not installed")
    names = public(Nvml, "nvml") | public(Nvml, "NVML")
    assert "nvmlDeviceGetTotalEnergyConsumption" in names
    assert [name for name in sorted(names) if not hasattr(real, name)] == []
    assert issubclass(real.NVMLError_FunctionNotFound, real.NVMLError)
    for name in ("NVML_CLOCK_SM", "NVML_CLOCK_MEM", "nvmlClocksEventReasonSwPowerCap"):
        assert int(getattr(real, name)) == getattr(Nvml, name)


def test_tensorrt_has_every_name() -> None:
    """Of the runtime, the engine and the context."""
    real = pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")
    for ours, theirs in (
        (public(RuntimeTensorRT), real),
        (public(OnnxEngine) - {"shape"}, real.ICudaEngine),
        (public(OnnxContext), real.IExecutionContext),
    ):
        assert [name for name in sorted(ours) if not hasattr(theirs, name)] == []
    assert {each.name for each in TensorIOMode} <= set(real.TensorIOMode.__members__)
    assert {each.name for each in TensorLocation} <= set(real.TensorLocation.__members__)
    for name in ("deserialize_cuda_engine", "engine_host_code_allowed"):
        assert hasattr(real.Runtime, name)
