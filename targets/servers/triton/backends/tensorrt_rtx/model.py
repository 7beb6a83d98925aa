"""Triton backend `tensorrt_rtx`: runs an engine of TensorRT-RTX. A python-based backend, because Triton brings none.

Each instance is a process with its own execution context, stream and buffers on its GPU. The requests of one batch are
written one after another into pinned memory, copied, run as one execution, copied back and split again. A request that
fails gets an error; the instance goes on.

Needs tensorrt_rtx (the version that built the engine) and cuda-bindings; this bundle's Dockerfile installs both.
"""

import ctypes
import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils

try:
    import tensorrt_rtx as trt
    from cuda.bindings import runtime as cudart

    MISSING = None
except ImportError as error:
    # Said by `initialize`: the server's own exception type does not exist yet while this module is imported.
    MISSING = str(error)

# Engine data types that have a numpy type, by name. BF16, FP8 and sub-byte types stay inside an engine: numpy, and so
# Triton's Python backend, cannot carry them as inputs or outputs.
NUMPY_TYPES = {
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
    "INT8": np.dtype(np.int8),
    "UINT8": np.dtype(np.uint8),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
}


def rows_of(shapes, is_batched):
    """Rows of each request in a batch: the leading size, or 1 each for a model that does not batch.

    >>> rows_of([(2, 5), (1, 5)], True)
    [2, 1]
    """
    return [shape[0] if is_batched else 1 for shape in shapes]


def batch_shape(shapes):
    """Shape of the requests' concatenation; every size but the leading one must agree.

    >>> batch_shape([(2, 5), (1, 5)])
    (3, 5)
    """
    tails = {tuple(shape[1:]) for shape in shapes}
    if len(tails) > 1:
        raise ValueError(f"requests of one batch have different shapes: {sorted(tails)}")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def groups_of(shapes, is_batched):
    """Positions of requests that can run as one execution: equal shapes but for the batch; one by one without batching.

    >>> groups_of([[(1, 5)], [(2, 5)], [(1, 7)]], True)
    [[0, 1], [2]]
    """
    if not is_batched:
        return [[position] for position in range(len(shapes))]
    groups = {}
    for position, request in enumerate(shapes):
        groups.setdefault(tuple(tuple(shape[1:]) for shape in request), []).append(position)
    return list(groups.values())


def check(answer):
    """The result of a CUDA runtime call, or RuntimeError with CUDA's name of the failure."""
    code, *values = answer
    if code != cudart.cudaError_t.cudaSuccess:
        raise RuntimeError(f"CUDA: {cudart.cudaError_t(code).name}")
    return values[0] if values else None


class Buffer:
    """Pinned host memory and device memory of the same size for one tensor; grows, never shrinks."""

    def __init__(self):
        self.size = 0
        self.host = None
        self.device = None

    def reserve(self, size):
        """Make room for `size` bytes; contents are lost when it grows. No stream may be using the old memory."""
        if size <= self.size:
            return
        self.release()
        self.host = check(cudart.cudaMallocHost(size))
        self.device = check(cudart.cudaMalloc(size))
        self.size = size

    def view(self, shape, dtype):
        """The host memory as an array of this shape."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        memory = (ctypes.c_uint8 * size).from_address(int(self.host))
        return np.frombuffer(memory, dtype=dtype).reshape(shape)

    def release(self):
        """Free the memory; safe to call twice."""
        self.size = 0
        host, self.host = self.host, None
        device, self.device = self.device, None
        if host is not None:
            check(cudart.cudaFreeHost(host))
        if device is not None:
            check(cudart.cudaFree(device))


class Engine:
    """A deserialised engine with one execution context, a stream and its buffers on one device."""

    def __init__(self, path, device):
        self.device = device
        self.use_device()
        self.logger = trt.Logger(trt.Logger.WARNING)
        self.runtime = trt.Runtime(self.logger)
        with open(path, "rb") as file:
            self.engine = self.runtime.deserialize_cuda_engine(file.read())
        if self.engine is None:
            raise RuntimeError(
                f"TensorRT-RTX {trt.__version__} cannot load {os.path.basename(path)}: "
                "it was built for another version or another GPU"
            )
        self.context = self.engine.create_execution_context()
        if self.context is None:
            raise RuntimeError("no execution context: the device memory does not suffice for another instance")
        self.stream = check(cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking))
        self.inputs, self.outputs = {}, {}
        for index in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(index)
            is_input = self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            kind = self.engine.get_tensor_dtype(name).name
            if kind not in NUMPY_TYPES:
                raise RuntimeError(f"tensor {name} is {kind}, which numpy cannot hold")
            (self.inputs if is_input else self.outputs)[name] = NUMPY_TYPES[kind]
        self.buffers = {name: Buffer() for name in (*self.inputs, *self.outputs)}

    def use_device(self):
        """Select this engine's device for the calling thread."""
        check(cudart.cudaSetDevice(self.device))

    def run(self, parts):
        """Run one execution and return a copy of every output.

        `parts` maps an input to its arrays, which are concatenated. Raises RuntimeError or ValueError when the shapes
        are outside the engine's optimization profile or the device fails.
        """
        for name, arrays in parts.items():
            self._send(name, arrays)
        missing = self.context.infer_shapes()
        if missing:
            raise RuntimeError(f"the engine needs more to know the shapes of {', '.join(missing)}")
        views = {name: self._bind_output(name, dtype) for name, dtype in self.outputs.items()}
        if not self.context.execute_async_v3(int(self.stream)):
            raise RuntimeError("TensorRT-RTX refused the execution; its reason is in the server log")
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        for name, view in views.items():
            buffer = self.buffers[name]
            check(cudart.cudaMemcpyAsync(int(buffer.host), int(buffer.device), view.nbytes, kind, self.stream))
        check(cudart.cudaStreamSynchronize(self.stream))
        return {name: view.copy() for name, view in views.items()}

    def _send(self, name, arrays):
        dtype = self.inputs[name]
        shape = batch_shape([array.shape for array in arrays]) if len(arrays) > 1 else arrays[0].shape
        buffer = self.buffers[name]
        buffer.reserve(max(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, 1))
        view = buffer.view(shape, dtype)
        if len(arrays) == 1:
            np.copyto(view, arrays[0], casting="equiv")
        else:
            np.concatenate(arrays, out=view, casting="equiv")
        if not self.context.set_input_shape(name, tuple(shape)):
            raise ValueError(f"input {name} of shape {tuple(shape)} is outside the engine's optimization profile")
        self._bind(name)
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        check(cudart.cudaMemcpyAsync(int(buffer.device), int(buffer.host), view.nbytes, kind, self.stream))

    def _bind_output(self, name, dtype):
        shape = tuple(self.context.get_tensor_shape(name))
        if any(size < 0 for size in shape):
            raise RuntimeError(f"the shape of output {name} depends on data, which this backend does not support")
        buffer = self.buffers[name]
        buffer.reserve(max(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, 1))
        self._bind(name)
        return buffer.view(shape, dtype)

    def _bind(self, name):
        if not self.context.set_tensor_address(name, int(self.buffers[name].device)):
            raise RuntimeError(f"TensorRT-RTX refused the address of tensor {name}")

    def close(self):
        """Free everything on the device."""
        self.use_device()
        check(cudart.cudaStreamSynchronize(self.stream))
        for buffer in self.buffers.values():
            buffer.release()
        self.context = self.engine = self.runtime = None
        check(cudart.cudaStreamDestroy(self.stream))


class TritonPythonModel:
    """One instance: one engine on one GPU."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Leave the configuration as it is written."""
        return auto_complete_model_config

    def initialize(self, args):
        """Load the engine and compare its tensors with the model configuration."""
        config = json.loads(args["model_config"])
        if MISSING:
            raise pb_utils.TritonModelException(
                f"backend tensorrt_rtx: {MISSING}; start the image that this bundle's Dockerfile builds"
            )
        if args["model_instance_kind"] != "GPU":
            raise pb_utils.TritonModelException("backend tensorrt_rtx: its instances need KIND_GPU")
        self.is_batched = config.get("max_batch_size", 0) > 0
        self.names = [tensor["name"] for tensor in config["input"]]
        self.scalar_outputs = {tensor["name"] for tensor in config["output"] if "reshape" in tensor}
        file_name = config.get("default_model_filename") or "model.plan"
        path = os.path.join(args["model_repository"], args["model_version"], file_name)
        try:
            self.engine = Engine(path, int(args["model_instance_device_id"]))
        except (RuntimeError, OSError) as error:
            raise pb_utils.TritonModelException(f"backend tensorrt_rtx: {error}") from error
        self._compare(config["input"], self.engine.inputs, "input")
        self._compare(config["output"], self.engine.outputs, "output")
        self.outputs = [tensor["name"] for tensor in config["output"]]

    def _compare(self, tensors, found, kind):
        configured = {
            tensor["name"]: np.dtype(pb_utils.triton_string_to_numpy(tensor["data_type"])) for tensor in tensors
        }
        if configured != found:
            raise pb_utils.TritonModelException(
                f"the engine's {kind}s {found} are not those of config.pbtxt {configured}: they are of different builds"
            )

    def execute(self, requests):
        """Answer every request of the batch, in order."""
        responses = [None] * len(requests)
        tensors = [
            [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.names] for request in requests
        ]
        shapes = [[array.shape for array in arrays] for arrays in tensors]
        for group in groups_of(shapes, self.is_batched):
            try:
                self.engine.use_device()
                columns = {name: [tensors[p][i] for p in group] for i, name in enumerate(self.names)}
                results = self.engine.run(columns)
            except (RuntimeError, ValueError, TypeError) as error:
                for position in group:
                    responses[position] = pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
                continue
            rows = rows_of([shapes[p][0] for p in group], self.is_batched)
            start = 0
            for position, count in zip(group, rows, strict=True):
                responses[position] = self._response(results, start, start + count)
                start += count
        return responses

    def _response(self, results, start, end):
        outputs = []
        for name in self.outputs:
            value = results[name][start:end] if self.is_batched else results[name]
            if name in self.scalar_outputs:
                value = value.reshape((*value.shape[: 1 if self.is_batched else 0], 1))
            outputs.append(pb_utils.Tensor(name, value))
        return pb_utils.InferenceResponse(output_tensors=outputs)

    def finalize(self):
        """Free the device when the instance is unloaded."""
        engine = getattr(self, "engine", None)
        if engine is not None:
            engine.close()
