"""Triton backend `torch_inductor`: runs a package that torch.compile made ahead of time (AOTInductor).

A python-based backend: the PyTorch backend of Triton 24.10 runs TorchScript only. Each instance is a process with its
own copy of the package. The requests of one batch that have equal shapes run as one execution; one that fails gets an
error and the instance goes on.

Needs the torch release that built the package (parameter `torch_version`); this bundle's Dockerfile installs it.
"""

import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils

# One thread an instance, whichever thread of this process runs it: OpenMP reads this when torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"
try:
    import torch

    MISSING = None
except ImportError as error:
    # Said by `initialize`: the server's own exception type does not exist yet while this module is imported.
    MISSING = str(error)


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


def processor_flags():
    """What the first processor of this machine can do, as Linux names it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((set(line.partition(":")[2].split()) for line in file if line.startswith("flags")), set())


class TritonPythonModel:
    """One instance: one loaded package."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Leave the configuration as it is written."""
        return auto_complete_model_config

    def initialize(self, args):
        """Check that this machine may run the package, and load it."""
        config = json.loads(args["model_config"])
        parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        self._check(parameters, args["model_instance_kind"])
        self.is_batched = config.get("max_batch_size", 0) > 0
        types = {tensor["name"]: tensor["data_type"] for tensor in config["input"]}
        # The package takes and gives tensors in an order of its own, without names.
        self.names, self.outputs = json.loads(parameters["inputs"]), json.loads(parameters["outputs"])
        self.types = [np.dtype(pb_utils.triton_string_to_numpy(types[name])) for name in self.names]
        self.scalar_outputs = {tensor["name"] for tensor in config["output"] if "reshape" in tensor}
        self.scalar_inputs = {tensor["name"] for tensor in config["input"] if "reshape" in tensor}
        index = int(args["model_instance_device_id"]) if parameters["device"] == "cuda" else -1
        self.device = torch.device("cuda", index) if index >= 0 else torch.device("cpu")
        # As the package was compiled and tested: one thread an instance, one kind of kernel for every batch size.
        torch.set_num_threads(1)
        torch.backends.nnpack.set_flags(False)
        torch.set_float32_matmul_precision(parameters["float32_matmul_precision"])
        torch.backends.cudnn.allow_tf32 = parameters["float32_matmul_precision"] == "high"
        file_name = config.get("default_model_filename") or "model.pt2"
        path = os.path.join(args["model_repository"], args["model_version"], file_name)
        try:
            self.package = torch._inductor.aoti_load_package(path, run_single_threaded=True, device_index=index)
        except (RuntimeError, OSError) as error:
            raise pb_utils.TritonModelException(f"backend torch_inductor: {error}") from error

    def _check(self, parameters, kind):
        if MISSING:
            raise pb_utils.TritonModelException(
                f"backend torch_inductor: {MISSING}; start the image that this bundle's Dockerfile builds"
            )
        built, found = parameters["torch_version"], torch.__version__.partition("+")[0]
        if built != found:
            raise pb_utils.TritonModelException(
                f"backend torch_inductor: the package was built with torch {built}, and torch {found} is installed"
            )
        wanted = "GPU" if parameters["device"] == "cuda" else "CPU"
        if kind != wanted:
            raise pb_utils.TritonModelException(
                f"backend torch_inductor: the package is for {parameters['device']}: its instances need KIND_{wanted}"
            )
        missing = set(parameters["cpu_flags"].split(",")) - processor_flags()
        if missing:
            raise pb_utils.TritonModelException(
                f"backend torch_inductor: the package was compiled for {parameters['cpu_level']}, and this processor "
                f"lacks {', '.join(sorted(missing))}: compile the spec again for this machine"
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
                results = self._run([[tensors[position][i] for position in group] for i in range(len(self.names))])
            except (RuntimeError, ValueError, TypeError) as error:
                for position in group:
                    responses[position] = pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
                continue
            start = 0
            for position in group:
                rows = shapes[position][0][0] if self.is_batched else 1
                responses[position] = self._response(results, start, start + rows)
                start += rows
        return responses

    def _run(self, columns):
        """One execution of requests whose inputs are joined along the batch; the outputs as numpy arrays."""
        inputs = []
        for name, dtype, arrays in zip(self.names, self.types, columns, strict=True):
            joined = np.array(arrays[0], dtype=dtype) if len(arrays) == 1 else np.concatenate(arrays, dtype=dtype)
            if name in self.scalar_inputs:
                joined = joined.reshape(joined.shape[:-1])
            inputs.append(torch.from_numpy(joined).to(self.device))
        with torch.inference_mode():
            return [output.cpu().numpy() for output in self.package(*inputs)]

    def _response(self, results, start, end):
        outputs = []
        for name, result in zip(self.outputs, results, strict=True):
            value = result[start:end] if self.is_batched else result
            if name in self.scalar_outputs:
                value = value.reshape((*value.shape[: 1 if self.is_batched else 0], 1))
            outputs.append(pb_utils.Tensor(name, np.ascontiguousarray(value)))
        return pb_utils.InferenceResponse(output_tensors=outputs)

    def finalize(self):
        """Free the package when the instance is unloaded."""
        self.package = None
