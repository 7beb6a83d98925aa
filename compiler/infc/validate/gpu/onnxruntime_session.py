"""ONNX Runtime on a GPU, through its CUDA or its TensorRT execution provider."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infc.diag import ToolError
from infc.ir.engine import Engine
from infc.ir.engine_kind import EngineKind
from infc.validate.gpu.device import GpuDevice

if TYPE_CHECKING:  # they bring onnx along
    from infc.lower.arrays import Array
    from infc.validate.accuracy.inference import Session

PROVIDERS: Mapping[EngineKind, str] = {
    "onnxruntime_cuda": "CUDAExecutionProvider",
    "onnxruntime_tensorrt": "TensorrtExecutionProvider",
}
"""ONNX Runtime's own names."""


class ProviderSession:
    """A session whose operators run on the GPU; copies to and from it are part of every run."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def run(self, names: list[str], feeds: "dict[str, Array]") -> "list[Array]":
        """The named outputs for one batch of inputs. Raises ToolError when the device fails."""
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        try:
            return self._session.run(names, feeds)
        except (errors.Fail, errors.RuntimeException, errors.EPFail, errors.InvalidArgument) as error:
            first = str(error).strip().splitlines()[0][:240]
            raise ToolError(
                f"the engine failed on the GPU: {first}", help="nvidia-smi shows the GPU's state"
            ) from error

    @property
    def device_s(self) -> None:
        """ONNX Runtime tells no device time of its own."""
        return


def provider_session(engine: Engine, device: GpuDevice) -> ProviderSession:
    """A session of an ONNX Runtime engine for a GPU, on this one.

    Raises:
        ToolError: ONNX Runtime here has no such provider, or it does not start.
    """
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    provider = PROVIDERS[engine.kind]
    missing = f"ONNX Runtime here has no {provider}"
    help = "pip uninstall onnxruntime; pip install onnxruntime-gpu: the two packages exclude each other"
    if provider not in ort.get_available_providers():
        raise ToolError(missing, help=help)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    chosen = [(PROVIDERS[kind], {"device_id": device.index}) for kind in _chain(engine.kind)]
    try:
        session = ort.InferenceSession(str(engine.path), options, providers=[*chosen, "CPUExecutionProvider"])
    except (errors.Fail, errors.RuntimeException, errors.EPFail, errors.InvalidGraph) as error:
        first = str(error).strip().splitlines()[0][:240]
        raise ToolError(f"ONNX Runtime does not open the engine with {provider}: {first}", help=help) from error
    if session.get_providers()[0] != provider:
        # It falls back to the CPU without an error when the provider's libraries are missing.
        raise ToolError(f"{provider} does not start: its CUDA or TensorRT libraries are missing", help=help)
    return ProviderSession(session)


def _chain(kind: EngineKind) -> tuple[EngineKind, ...]:
    """TensorRT's provider leaves operators it lacks to CUDA's.

    >>> _chain("onnxruntime_tensorrt")
    ('onnxruntime_tensorrt', 'onnxruntime_cuda')
    """
    return ("onnxruntime_tensorrt", "onnxruntime_cuda") if kind == "onnxruntime_tensorrt" else (kind,)
