"""Stand-ins for a GPU, its runtime and Triton's Python utilities, just enough to run the emitted TensorRT-RTX backend.

Device memory is host memory, copies are memmove, and the engine doubles its input. What they stand in for cannot run on
a machine without a GPU; the names and signatures are those of tensorrt_rtx 1.7 and cuda-bindings 13, which other tests
compare with the real packages.
"""

# ruff: noqa: N802, N815 - the names are those of the packages that are stood in for

import ctypes
import time
from enum import Enum
from types import ModuleType, SimpleNamespace

import numpy as np


class CudaError(Enum):
    """cudaError_t."""

    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2


class Cuda(ModuleType):
    """cuda.bindings.runtime. `live` holds what is allocated by address."""

    cudaError_t = CudaError
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamNonBlocking = 1

    def __init__(self) -> None:
        super().__init__("cuda.bindings.runtime")
        self.live: dict[int, object] = {}
        self.made = 0
        self.fails_to_allocate = False
        self.devices: list[int] = []

    def cudaSetDevice(self, device: int) -> tuple[CudaError]:
        """Note the device."""
        self.devices.append(device)
        return (CudaError.cudaSuccess,)

    def cudaMalloc(self, size: int) -> tuple[CudaError, int | None]:
        """Allocate."""
        if self.fails_to_allocate:
            return CudaError.cudaErrorMemoryAllocation, None
        memory = ctypes.create_string_buffer(size)
        self.live[ctypes.addressof(memory)] = memory
        return CudaError.cudaSuccess, ctypes.addressof(memory)

    cudaMallocHost = cudaMalloc

    def cudaFree(self, address: int) -> tuple[CudaError]:
        """Free; an address that is not allocated is a bug of the backend."""
        del self.live[address]
        return (CudaError.cudaSuccess,)

    cudaFreeHost = cudaFree

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[CudaError, int]:
        """Make a stream."""
        self.made += 1
        self.live[-self.made] = "stream"
        return CudaError.cudaSuccess, -self.made

    def cudaStreamDestroy(self, stream: int) -> tuple[CudaError]:
        """Free the stream."""
        return self.cudaFree(stream)

    def cudaStreamSynchronize(self, stream: int) -> tuple[CudaError]:
        """Everything is done at once."""
        return (CudaError.cudaSuccess,)

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: int, stream: int) -> tuple[CudaError]:
        """Copy now; both ends must be allocated and large enough."""
        for address in (target, source):
            assert ctypes.sizeof(self.live[address]) >= size  # type: ignore[arg-type]
        ctypes.memmove(target, source, size)
        return (CudaError.cudaSuccess,)

    def cudaEventCreate(self) -> tuple[CudaError, int]:
        """Make an event; it holds the moment that it was recorded at."""
        self.made += 1
        handle = -self.made
        self.live[handle] = 0.0
        return CudaError.cudaSuccess, handle

    def cudaEventRecord(self, event: int, stream: int) -> tuple[CudaError]:
        """Everything before has happened: note the time."""
        self.live[event] = time.perf_counter()
        return (CudaError.cudaSuccess,)

    def cudaEventElapsedTime(self, start: int, end: int) -> tuple[CudaError, float]:
        """Milliseconds between two recorded events."""
        return CudaError.cudaSuccess, (self.live[end] - self.live[start]) * 1e3  # type: ignore[operator]

    def cudaEventDestroy(self, event: int) -> tuple[CudaError]:
        """Free the event."""
        return self.cudaFree(event)


class Context:
    """IExecutionContext of an engine for float16 x[batch, 1..8]: `y` is 2 x, `rows` its sums, float16[batch]."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.fails = False

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Accept shapes of the profile."""
        self.shapes[name] = shape
        return 1 <= shape[1] <= 8

    def infer_shapes(self) -> list[str]:
        """Nothing is missing."""
        return [] if "x" in self.shapes else ["x"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Output shapes follow from the input's."""
        return self.shapes["x"] if name == "y" else self.shapes["x"][:1]

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Note it."""
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Run at once."""
        if self.fails:
            return False
        rows, columns = self.shapes["x"]
        size = rows * columns
        x = np.frombuffer((ctypes.c_uint8 * (2 * size)).from_address(self.addresses["x"]), np.float16)
        y = np.frombuffer((ctypes.c_uint8 * (2 * size)).from_address(self.addresses["y"]), np.float16)
        sums = np.frombuffer((ctypes.c_uint8 * (2 * rows)).from_address(self.addresses["rows"]), np.float16)
        y[:] = 2 * x
        sums[:] = x.reshape(rows, columns).sum(1)
        return True


class TensorIOMode(Enum):
    """tensorrt_rtx.TensorIOMode."""

    INPUT = 1
    OUTPUT = 2


class TensorLocation(Enum):
    """tensorrt_rtx.TensorLocation."""

    DEVICE = 0
    HOST = 1


class IOutputAllocator:
    """tensorrt_rtx.IOutputAllocator."""


class CudaEngine:
    """ICudaEngine."""

    num_io_tensors = 3

    def __init__(self) -> None:
        self.context = Context()
        self.contexts = 0

    def get_tensor_name(self, index: int) -> str:
        """In the order of the model."""
        return ("x", "y", "rows")[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        """One input."""
        return TensorIOMode.INPUT if name == "x" else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        """FP16 in and out."""
        return SimpleNamespace(name="HALF")

    def get_tensor_location(self, name: str) -> TensorLocation:
        """All on the device."""
        return TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name: str, profile: int) -> tuple[tuple[int, int], ...]:
        """Minimum, optimum and maximum of `x`."""
        return (1, 1), (4, 4), (8, 8)

    def create_execution_context(self) -> Context:
        """The context, and from the second instance on one of its own."""
        self.contexts += 1
        return self.context if self.contexts == 1 else Context()


class TensorRT(ModuleType):
    """tensorrt_rtx: loads files that say `engine`."""

    __version__ = "1.7.1.116"
    TensorIOMode = TensorIOMode
    TensorLocation = TensorLocation
    IOutputAllocator = IOutputAllocator

    def __init__(self) -> None:
        super().__init__("tensorrt_rtx")
        self.engine = CudaEngine()

    class Logger:
        """tensorrt_rtx.Logger."""

        WARNING = 2

        def __init__(self, severity: int) -> None:
            self.severity = severity

    def Runtime(self, logger: object) -> SimpleNamespace:
        """tensorrt_rtx.Runtime."""
        return SimpleNamespace(deserialize_cuda_engine=lambda data: self.engine if data == b"engine" else None)


class TritonModelException(Exception):  # noqa: N818
    """Triton's own name."""


class Tensor:
    """pb_utils.Tensor."""

    def __init__(self, name: str, value: np.ndarray) -> None:
        self.name, self.value = name, value

    def as_numpy(self) -> np.ndarray:
        """The content."""
        return self.value


class Response:
    """pb_utils.InferenceResponse."""

    def __init__(self, output_tensors: list[Tensor] | None = None, error: object = None) -> None:
        self.outputs = {tensor.name: tensor.value for tensor in output_tensors or []}
        self.error = error


class Triton(ModuleType):
    """triton_python_backend_utils; a request is a dict of arrays."""

    TritonModelException = TritonModelException
    TritonError = str
    Tensor = Tensor
    InferenceResponse = Response

    def __init__(self) -> None:
        super().__init__("triton_python_backend_utils")

    def get_input_tensor_by_name(self, request: dict[str, np.ndarray], name: str) -> Tensor:
        """An input."""
        return Tensor(name, request[name])

    def triton_string_to_numpy(self, name: str) -> type:
        """Types that the test uses."""
        return {"TYPE_FP16": np.float16, "TYPE_FP32": np.float32}[name]
