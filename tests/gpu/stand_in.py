"""A stand-in for a machine with a GPU: CUDA's runtime, the runtime half of TensorRT, NVML.

"Device" memory is host memory, and an "engine" is run by ONNX Runtime from the model that it was built from: copies,
shapes, events, contexts and errors of infc's code take their real course with real numbers, only nothing is fast. Names
and signatures are those of cuda-bindings 13, tensorrt_rtx 1.7 and nvidia-ml-py 13, which tests compare.
"""

# ruff: noqa: N802, N815 - the names are those of the packages that are stood in for

import ctypes
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infc.validate import gpu, session
from tests.emit.device_stand_in import Cuda, CudaError, IOutputAllocator, TensorIOMode, TensorLocation

HAS_GPU = session.has_gpu()
DTYPES = {"float": "FLOAT", "float16": "HALF", "int64": "INT64", "int32": "INT32", "bool": "BOOL"}
NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "INT64": np.int64, "INT32": np.int32, "BOOL": np.bool_}


class NoGpu(Enum):
    """The errors of machines without a GPU."""

    cudaErrorNoDevice = 100
    cudaErrorInsufficientDriver = 35


class GpuCuda(Cuda):
    """cuda.bindings.runtime on a machine with one L4, or with none (`count_error`)."""

    def __init__(self, name: str = "NVIDIA L4", capability: tuple[int, int] = (8, 9), memory_gib: float = 22.0) -> None:
        super().__init__()
        self.properties = SimpleNamespace(
            name=name.encode(),
            major=capability[0],
            minor=capability[1],
            totalGlobalMem=int(memory_gib * 2**30),
            multiProcessorCount=58,
            integrated=0,
        )
        self.count_error: NoGpu | None = None

    def cudaGetDeviceCount(self) -> tuple[Enum, int | None]:
        """One device."""
        return (CudaError.cudaSuccess, 1) if self.count_error is None else (self.count_error, None)

    def cudaGetDeviceProperties(self, device: int) -> tuple[CudaError, SimpleNamespace]:
        """What the card is."""
        return CudaError.cudaSuccess, self.properties

    def cudaDeviceGetPCIBusId(self, length: int, device: int) -> tuple[CudaError, bytes]:
        """Where it sits."""
        return CudaError.cudaSuccess, b"0000:65:00.0\0"

    def cudaDriverGetVersion(self) -> tuple[CudaError, int]:
        """CUDA 13.0."""
        return CudaError.cudaSuccess, 13000


class OnnxContext:
    """IExecutionContext: runs the model when it is told to."""

    def __init__(self, engine: "OnnxEngine") -> None:
        self._engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.allocators: dict[str, Any] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Accept what the profile has."""
        smallest, _, largest = self._engine.get_tensor_profile_shape(name, 0)
        self.shapes[name] = shape
        return len(shape) == len(largest) and all(
            a <= size <= b for a, size, b in zip(smallest, shape, largest, strict=True)
        )

    def infer_shapes(self) -> list[str]:
        """What has no shape yet."""
        return [name for name in self._engine.input_names if name not in self.shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Sizes by the names of dimensions; -1 where the name is no input's."""
        known: dict[str, int] = {}
        for tensor in self._engine.session.get_inputs():
            known |= {
                dim: size
                for dim, size in zip(tensor.shape, self.shapes[tensor.name], strict=True)
                if isinstance(dim, str)
            }
        return tuple(dim if isinstance(dim, int) else known.get(dim, -1) for dim in self._engine.shape(name))

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Note it."""
        self.addresses[name] = address
        return True

    def set_output_allocator(self, name: str, allocator: object) -> bool:
        """Note it."""
        self.allocators[name] = allocator
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Run the model on what lies at the inputs' addresses."""
        if self._engine.fails:
            return False
        feeds = {name: self._array(name, self.shapes[name]).copy() for name in self._engine.input_names}
        for name, value in zip(self._engine.output_names, self._engine.session.run(None, feeds), strict=True):
            if name in self.allocators:
                allocator = self.allocators[name]
                self.addresses[name] = allocator.reallocate_output_async(name, 0, value.nbytes, 256, stream_handle)
                allocator.notify_shape(name, value.shape)
            self._array(name, value.shape)[...] = value
        return True

    def _array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        dtype = np.dtype(NUMPY[self._engine.get_tensor_dtype(name).name])
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer((ctypes.c_uint8 * size).from_address(self.addresses[name]), dtype).reshape(shape)


class OnnxEngine:
    """ICudaEngine of an ONNX model, with a batch of up to `most_rows` and other dynamic sizes up to `longest`."""

    def __init__(self, model: Path, most_rows: int, longest: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.input_names = [tensor.name for tensor in self.session.get_inputs()]
        self.output_names = [tensor.name for tensor in self.session.get_outputs()]
        self._tensors = {tensor.name: tensor for tensor in (*self.session.get_inputs(), *self.session.get_outputs())}
        self._most = (most_rows, longest)
        self.fails = False

    @property
    def num_io_tensors(self) -> int:
        """Inputs and outputs."""
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        """In the order of the model."""
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        """Input or output."""
        return TensorIOMode.INPUT if name in self.input_names else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        """TensorRT's name of the type."""
        return SimpleNamespace(name=DTYPES[self._tensors[name].type.removeprefix("tensor(").removesuffix(")")])

    def get_tensor_location(self, name: str) -> TensorLocation:
        """On the device."""
        return TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name: str, profile: int) -> tuple[tuple[int, ...], ...]:
        """Minimum, optimum and maximum."""
        most_rows, longest = self._most
        dims = self.shape(name)
        largest = tuple(
            dim if isinstance(dim, int) else most_rows if axis == 0 else longest for axis, dim in enumerate(dims)
        )
        smallest = tuple(dim if isinstance(dim, int) else 1 for dim in dims)
        return smallest, largest, largest

    def create_execution_context(self) -> OnnxContext:
        """A context of its own."""
        return OnnxContext(self)

    def shape(self, name: str) -> list[int | str]:
        """The declared shape; a dimension of the model without a name or size gets one."""
        return [
            dim if isinstance(dim, int | str) else f"{name}.{axis}"
            for axis, dim in enumerate(self._tensors[name].shape)
        ]


class RuntimeTensorRT(ModuleType):
    """The runtime half of tensorrt_rtx (or of tensorrt): any file is the engine of `model`; None: it is refused."""

    TensorIOMode = TensorIOMode
    TensorLocation = TensorLocation
    IOutputAllocator = IOutputAllocator

    def __init__(self, model: Path | None, *, name: str = "tensorrt_rtx", version: str = "1.7.1.116") -> None:
        super().__init__(name)
        self.__version__ = version
        self.engine = None if model is None else OnnxEngine(model, most_rows=16, longest=256)

    class ILogger:
        """Its base class of loggers."""

        Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])

    class Logger:
        """Its own logger."""

        WARNING = 2

        def __init__(self, severity: int) -> None:
            self.severity = severity

    def Runtime(self, logger: Any) -> SimpleNamespace:
        """Loads engines; says why when it does not."""

        def deserialize_cuda_engine(data: bytes) -> OnnxEngine | None:
            if self.engine is None:
                logger.log(self.ILogger.Severity.ERROR, "The engine cannot run on this GPU, which has capability 9.0")
            return self.engine

        return SimpleNamespace(deserialize_cuda_engine=deserialize_cuda_engine)


class NvmlError(Exception):
    """pynvml.NVMLError."""


class NvmlFunctionNotFoundError(NvmlError):
    """The one for functions that a driver does not know."""


class Nvml(ModuleType):
    """pynvml on a machine with one L4 under load; `refused` functions are not supported there."""

    NVMLError = NvmlError
    NVMLError_FunctionNotFound = NvmlFunctionNotFoundError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    nvmlClocksEventReasonSwPowerCap = 4
    nvmlClocksEventReasonSwThermalSlowdown = 0x20
    nvmlClocksEventReasonGpuIdle = 1

    def __init__(self, refused: tuple[str, ...] = (), reasons: int = 4) -> None:
        super().__init__("pynvml")
        self.refused = refused
        self.reasons = reasons
        self.started = time.monotonic()
        self.opened = 0

    def nvmlInit(self) -> None:
        """Start."""
        self._check("nvmlInit")
        self.opened += 1

    def nvmlShutdown(self) -> None:
        """Stop."""
        self.opened -= 1

    def nvmlDeviceGetHandleByPciBusId(self, bus: str) -> str:
        """The card."""
        assert bus == "0000:65:00.0"
        return bus

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:
        """Percent."""
        self._check("nvmlDeviceGetUtilizationRates")
        return SimpleNamespace(gpu=93, memory=41)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        """Milliwatts."""
        self._check("nvmlDeviceGetPowerUsage")
        return 60_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        """Millijoules since the driver was loaded: 50 W all the time."""
        self._check("nvmlDeviceGetTotalEnergyConsumption")
        return int((time.monotonic() - self.started) * 50_000)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        """Bytes."""
        return SimpleNamespace(used=3 * 2**30, total=23 * 2**30, free=20 * 2**30)

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        """Megahertz."""
        return {1: 1500, 2: 6251}[kind]

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        """Degrees."""
        return 71

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        """A mask."""
        self._check("nvmlDeviceGetCurrentClocksEventReasons", NvmlFunctionNotFoundError)
        return self.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        """The mask under its old name."""
        return self.reasons

    def nvmlSystemGetDriverVersion(self) -> str:
        """The driver's."""
        return "580.65.06"

    def _check(self, name: str, error: type[NvmlError] = NvmlError) -> None:
        if name in self.refused:
            raise error("Not Supported")


@contextmanager
def machine_with_gpu(
    patch: pytest.MonkeyPatch, cuda: GpuCuda, library: RuntimeTensorRT | None = None, nvml: Nvml | None = None
) -> Iterator[None]:
    """Inside the block this machine has that GPU, and the packages that reach it.

    Skips where there is a real one: half of infc would see the one, half the other.
    """
    if HAS_GPU:
        pytest.skip("this machine has a real GPU, which tests/gpu uses")
    bindings = ModuleType("cuda.bindings")
    bindings.runtime = cuda  # type: ignore[attr-defined]
    modules: Mapping[str, ModuleType | None] = {
        "cuda": ModuleType("cuda"),
        "cuda.bindings": bindings,
        "cuda.bindings.runtime": cuda,
        "pynvml": nvml,
        **({} if library is None else {library.__name__: library}),
    }
    with patch.context() as patched:
        for name, module in modules.items():
            patched.setitem(sys.modules, name, module)
        patched.setattr(session, "_GPU_DEVICES", (__file__,))
        _forget_runner()
        yield
        _forget_runner()  # it holds the stand-in


def _forget_runner() -> None:
    sys.modules.pop("infc.validate.gpu.engine_runner", None)
    vars(gpu).pop("engine_runner", None)
