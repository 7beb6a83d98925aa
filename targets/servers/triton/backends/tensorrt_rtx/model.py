"""Triton backend `tensorrt_rtx`: runs an engine of TensorRT-RTX. A python-based backend, because Triton brings none.

Each instance is a process with its own execution context, stream and buffers on its GPU. The requests of one batch are
written one after another into pinned memory, copied, run as one execution, copied back and split again
(`engine_runner.py`, beside this file). A request that fails gets an error; the instance goes on.

Needs tensorrt_rtx (the version that built the engine) and cuda-bindings; this bundle's Dockerfile installs both.
"""

import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils

try:
    import tensorrt_rtx as trt
    from engine_runner import Engine

    MISSING = None
except ImportError as error:
    # Said by `initialize`: the server's own exception type does not exist yet while this module is imported.
    MISSING = str(error)


def rows_of(shapes, is_batched):
    """Rows of each request in a batch: the leading size, or 1 each for a model that does not batch.

    >>> rows_of([(2, 5), (1, 5)], True)
    [2, 1]
    """
    return [shape[0] if is_batched else 1 for shape in shapes]


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
            self.engine = Engine(trt, path, int(args["model_instance_device_id"]))
            self.context = self.engine.context()
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
                results = self.context.run(columns)
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
        context = getattr(self, "context", None)
        if context is not None:
            context.close()
            self.engine.close()
