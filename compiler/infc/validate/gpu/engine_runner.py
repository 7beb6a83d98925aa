"""Runs an engine of TensorRT or TensorRT-RTX on one GPU: pinned memory, a stream, an execution context, events.

One implementation for two places: the accuracy gate and `infc calibrate` import it, and a bundle for TensorRT-RTX
carries this very file beside its Triton backend. So it stands alone: Python 3.10, numpy, cuda-bindings and the library
that it is given; nothing of infc. Failures are RuntimeError (device, library) and ValueError (what was fed).
"""

import ctypes
import os
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from cuda.bindings import runtime as cudart

if TYPE_CHECKING:
    import tensorrt_rtx as trt  # both libraries have the same classes
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

# Engine data types that have a numpy type, by name. BF16, FP8 and sub-byte types stay inside an engine: numpy, and so
# Triton's Python backend, cannot carry them as inputs or outputs.
NUMPY_TYPES: "dict[str, np.dtype[Any]]" = {
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
    "INT8": np.dtype(np.int8),
    "UINT8": np.dtype(np.uint8),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
}
TITLES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
BEFORE, COPIED_IN, EXECUTED, COPIED_OUT = range(4)
"""The moments of an execution that events mark."""


def batch_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of the arrays' concatenation; every size but the leading one must agree.

    >>> batch_shape([(2, 5), (1, 5)])
    (3, 5)
    """
    tails = {tuple(shape[1:]) for shape in shapes}
    if len(tails) > 1:
        raise ValueError(f"requests of one batch have different shapes: {sorted(tails)}")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def size_bytes(shape: Iterable[int], dtype: "np.dtype[np.generic]") -> int:
    """Bytes of a tensor.

    >>> size_bytes((2, 3), np.dtype(np.float16))
    12
    """
    return int(np.prod(tuple(shape), dtype=np.int64)) * dtype.itemsize


def check(answer: tuple[Any, ...]) -> Any:
    """The result of a CUDA runtime call, which depends on the call, or RuntimeError with CUDA's name of the failure."""
    code, *values = answer
    if code != cudart.cudaError_t.cudaSuccess:
        raise RuntimeError(f"CUDA: {cudart.cudaError_t(code).name}")
    return values[0] if values else None


class Buffer:
    """Pinned host memory and device memory of the same size for one tensor; grows, never shrinks."""

    def __init__(self) -> None:
        self.size = 0
        self.host: int | None = None
        self.device: int | None = None

    def reserve(self, size: int) -> None:
        """Make room for `size` bytes; contents are lost when it grows. No stream may be using the old memory."""
        if size <= self.size:
            return
        self.release()
        self.host = check(cudart.cudaMallocHost(size))
        self.device = check(cudart.cudaMalloc(size))
        self.size = size

    def view(self, shape: tuple[int, ...], dtype: "np.dtype[np.generic]") -> "Array":
        """The host memory as an array of this shape."""
        size = size_bytes(shape, dtype)
        if size == 0:
            return np.empty(shape, dtype)
        assert self.host is not None  # noqa: S101 - reserved before
        memory = memoryview((ctypes.c_uint8 * size).from_address(int(self.host)))
        array: Array = np.frombuffer(memory, dtype=dtype).reshape(shape)
        return array

    def release(self) -> None:
        """Free the memory; safe to call twice."""
        self.size = 0
        host, self.host = self.host, None
        device, self.device = self.device, None
        if host is not None:
            check(cudart.cudaFreeHost(host))
        if device is not None:
            check(cudart.cudaFree(device))


class Engine:
    """A deserialised engine on one device. Its contexts share the weights; close them first.

    `allows_host_code` lets a version-compatible engine bring its own runtime: for engines of a known origin only.
    """

    def __init__(
        self,
        library: ModuleType,
        path: str,
        device: int,
        logger: "trt.ILogger | None" = None,
        *,
        allows_host_code: bool = False,
    ) -> None:
        self.library = library
        self.device = device
        self.title = TITLES[library.__name__]
        self.use_device()
        self.logger = library.Logger(library.Logger.WARNING) if logger is None else logger
        self.runtime = library.Runtime(self.logger)
        if allows_host_code:
            self.runtime.engine_host_code_allowed = True
        with open(path, "rb") as file:
            self.engine = self.runtime.deserialize_cuda_engine(file.read())
        if self.engine is None:
            raise RuntimeError(
                f"{self.title} {library.__version__} cannot load {os.path.basename(path)}: "
                "it was built for another version or another GPU"
            )
        self.inputs: dict[str, np.dtype[np.generic]] = {}
        self.outputs: dict[str, np.dtype[np.generic]] = {}
        self.on_host: set[str] = set()
        for index in range(self.engine.num_io_tensors):
            self._add(self.engine.get_tensor_name(index))

    def _add(self, name: str) -> None:
        is_input = self.engine.get_tensor_mode(name) == self.library.TensorIOMode.INPUT
        kind = self.engine.get_tensor_dtype(name).name
        if kind not in NUMPY_TYPES:
            raise RuntimeError(f"tensor {name} is {kind}, which numpy cannot hold")
        (self.inputs if is_input else self.outputs)[name] = NUMPY_TYPES[kind]
        if self.engine.get_tensor_location(name) == self.library.TensorLocation.HOST:
            self.on_host.add(name)

    def use_device(self) -> None:
        """Select this engine's device for the calling thread."""
        check(cudart.cudaSetDevice(self.device))

    def largest_shape(self, name: str) -> tuple[int, ...]:
        """The largest shape of an input that the engine accepts."""
        return tuple(self.engine.get_tensor_profile_shape(name, 0)[2])

    def context(self, *, is_timed: bool = False) -> "Context":
        """Another execution context: what an instance has of its own. RuntimeError when the memory is full."""
        return Context(self, is_timed=is_timed)

    def close(self) -> None:
        """Give the engine back."""
        self.use_device()
        self.engine = self.runtime = None


class Context:
    """One execution context with a stream and its buffers. Not for several threads at once.

    After a timed `run`, `copy_in_s`, `device_s` and `copy_out_s` are the seconds that CUDA events measured on the
    device: inputs to the device, the execution, outputs to the host.
    """

    def __init__(self, owner: Engine, *, is_timed: bool) -> None:
        self.owner = owner
        owner.use_device()
        self.context = owner.engine.create_execution_context()
        if self.context is None:
            raise RuntimeError("no execution context: the device memory does not suffice for another instance")
        self.buffers = {name: Buffer() for name in (*owner.inputs, *owner.outputs)}
        self.allocator = _output_allocator(owner.library, self.buffers)
        self.stream = check(cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking))
        self.events = [check(cudart.cudaEventCreate()) for _ in range(4)] if is_timed else []
        self.copy_in_s = self.device_s = self.copy_out_s = 0.0

    def run(self, parts: "Mapping[str, Sequence[Array]]") -> "dict[str, Array]":
        """Run one execution and return a copy of every output.

        `parts` maps an input to its arrays, which are concatenated. Raises RuntimeError or ValueError when the shapes
        are outside the engine's optimization profile or the device fails.
        """
        sizes = {name: self._stage(name, arrays) for name, arrays in parts.items()}
        missing = self.context.infer_shapes()
        if missing:
            raise RuntimeError(f"the engine needs more to know the shapes of {', '.join(missing)}")
        shapes = {name: self._bind_output(name) for name in self.owner.outputs}
        self._mark(BEFORE)
        for name, size in sizes.items():
            self._copy(name, size, to_device=True)
        self._mark(COPIED_IN)
        if not self.context.execute_async_v3(int(self.stream)):
            raise RuntimeError(f"{self.owner.title} refused the execution; its reason is in the log")
        self._mark(EXECUTED)
        if None in shapes.values():
            # Only the execution tells how much there is to copy.
            check(cudart.cudaStreamSynchronize(self.stream))
        views = {name: self._fetch(name, shape or self.allocator.shapes[name]) for name, shape in shapes.items()}
        self._mark(COPIED_OUT)
        check(cudart.cudaStreamSynchronize(self.stream))
        if self.events:
            self.copy_in_s = self._seconds(BEFORE, COPIED_IN)
            self.device_s = self._seconds(COPIED_IN, EXECUTED)
            self.copy_out_s = self._seconds(EXECUTED, COPIED_OUT)
        return {name: view.copy() for name, view in views.items()}

    def _stage(self, name: str, arrays: "Sequence[Array]") -> int:
        """Write an input into its pinned memory and tell the context its shape; returns its bytes."""
        dtype = self.owner.inputs[name]
        shape = batch_shape([array.shape for array in arrays]) if len(arrays) > 1 else arrays[0].shape
        buffer = self.buffers[name]
        buffer.reserve(max(size_bytes(shape, dtype), 1))
        view = buffer.view(shape, dtype)
        if len(arrays) == 1:
            np.copyto(view, arrays[0], casting="equiv")
        else:
            np.concatenate(arrays, out=view, casting="equiv")
        if not self.context.set_input_shape(name, tuple(shape)):
            raise ValueError(f"input {name} of shape {tuple(shape)} is outside the engine's optimization profile")
        self._bind(name)
        return view.nbytes

    def _bind_output(self, name: str) -> tuple[int, ...] | None:
        """Make room for an output; its shape, None where it depends on the data and the execution will tell."""
        shape = tuple(self.context.get_tensor_shape(name))
        if any(size < 0 for size in shape):
            if not self.context.set_output_allocator(name, self.allocator):
                raise RuntimeError(f"{self.owner.title} refused an allocator for output {name}")
            return None
        self.buffers[name].reserve(max(size_bytes(shape, self.owner.outputs[name]), 1))
        self._bind(name)
        return shape

    def _bind(self, name: str) -> None:
        buffer = self.buffers[name]
        address = buffer.host if name in self.owner.on_host else buffer.device
        assert address is not None  # noqa: S101 - reserved before
        if not self.context.set_tensor_address(name, int(address)):
            raise RuntimeError(f"{self.owner.title} refused the address of tensor {name}")

    def _fetch(self, name: str, shape: tuple[int, ...]) -> "Array":
        """Start the copy of an output to the host; what it will be once the stream is done."""
        dtype = self.owner.outputs[name]
        self._copy(name, size_bytes(shape, dtype), to_device=False)
        return self.buffers[name].view(shape, dtype)

    def _copy(self, name: str, size: int, *, to_device: bool) -> None:
        if name in self.owner.on_host or size == 0:
            return
        buffer, kinds = self.buffers[name], cudart.cudaMemcpyKind
        assert buffer.host is not None and buffer.device is not None  # noqa: S101, PT018 - reserved before
        host, device = int(buffer.host), int(buffer.device)
        if to_device:
            check(cudart.cudaMemcpyAsync(device, host, size, kinds.cudaMemcpyHostToDevice, self.stream))
        else:
            check(cudart.cudaMemcpyAsync(host, device, size, kinds.cudaMemcpyDeviceToHost, self.stream))

    def _mark(self, moment: int) -> None:
        if self.events:
            check(cudart.cudaEventRecord(self.events[moment], self.stream))

    def _seconds(self, start: int, end: int) -> float:
        return float(check(cudart.cudaEventElapsedTime(self.events[start], self.events[end]))) / 1e3

    def close(self) -> None:
        """Free everything that this context has on the device."""
        self.owner.use_device()
        check(cudart.cudaStreamSynchronize(self.stream))
        for buffer in self.buffers.values():
            buffer.release()
        self.context = self.allocator = None
        for event in self.events:
            check(cudart.cudaEventDestroy(event))
        check(cudart.cudaStreamDestroy(self.stream))


def _output_allocator(library: ModuleType, buffers: dict[str, Buffer]) -> "trt.IOutputAllocator":
    """Gives room to outputs whose shape depends on data; `shapes` holds what the last execution made of them."""

    class Allocator(library.IOutputAllocator):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            library.IOutputAllocator.__init__(self)
            self.shapes: dict[str, tuple[int, ...]] = {}

        def reallocate_output_async(self, name: str, memory: int, size: int, alignment: int, stream: int) -> int | None:
            """Room for `size` bytes; called while an execution is enqueued."""
            try:
                buffers[name].reserve(max(size, 1))
            except RuntimeError:
                return None  # the library then fails the execution, and says so
            return int(buffers[name].device or 0)

        def reallocate_output(self, name: str, memory: int, size: int, alignment: int) -> int | None:
            """The same for libraries that know no stream here."""
            return self.reallocate_output_async(name, memory, size, alignment, 0)

        def notify_shape(self, name: str, shape: Iterable[int]) -> None:
            """The shape that came out."""
            self.shapes[name] = tuple(shape)

    return Allocator()
