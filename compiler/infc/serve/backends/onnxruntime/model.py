"""Triton's `onnxruntime` backend, as a python-based backend around the real ONNX Runtime on the CPU.

It reads the same settings as Triton's own backend: parameters `intra_op_thread_count`, `inter_op_thread_count` and
`execution_mode`, and `optimization { graph { level } }`. Unlike it, the default is one thread for each instance.
"""

from __future__ import annotations  # the server's module lacks some of the types named here

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb

# ONNX Runtime 1.31 on the CPU: these three rewrites change the result of Q/DQ models without an error (bias scale
# underflows in FP16; Relu and Clip before an FP8 quantiser are dropped). Other models do not use them.
UNSAFE_QDQ_REWRITES = ["WeightBiasQuantization", "ReluQuantRewrite", "ClipQuantRewrite"]

# `optimization.graph.level` of the model configuration. Source: README of Triton's ONNX Runtime backend.
GRAPH_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def _session_options(config: Mapping[str, Any]) -> ort.SessionOptions:
    parameters = {name: value.get("string_value", "") for name, value in config.get("parameters", {}).items()}
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count") or 1)
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count") or 1)
    if parameters.get("execution_mode") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    if level not in GRAPH_LEVELS:
        raise pb.TritonModelException(f"optimization.graph.level is {level}, but may be -1, 0, 1 or 2")
    options.graph_optimization_level = GRAPH_LEVELS[level]
    options.log_severity_level = 3
    return options


class TritonPythonModel:
    """One instance: one session, one process."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: pb.ModelConfig) -> pb.ModelConfig:
        """Leave the configuration as it is written."""
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the model file of this version."""
        config = json.loads(args["model_config"])
        name = config.get("default_model_filename") or "model.onnx"
        path = os.path.join(args["model_repository"], args["model_version"], name)
        self.is_batched = config.get("max_batch_size", 0) > 0
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        self.session = ort.InferenceSession(
            path,
            _session_options(config),
            providers=["CPUExecutionProvider"],
            disabled_optimizers=UNSAFE_QDQ_REWRITES,
        )

    def execute(self, requests: Sequence[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Run all requests of a batch in one call of the session."""
        if not self.is_batched:
            return [self._respond(self._run([request])) for request in requests]
        rows = [pb.get_input_tensor_by_name(request, self.inputs[0]).shape()[0] for request in requests]
        results = self._run(requests)
        ends = np.cumsum(rows)
        return [self._respond([y[end - n : end] for y in results]) for n, end in zip(rows, ends, strict=True)]

    def _run(self, requests: Sequence[pb.InferenceRequest]) -> list[np.ndarray[Any, Any]]:
        columns = {
            name: [pb.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self.inputs
        }
        feed = {name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in columns.items()}
        results: list[np.ndarray[Any, Any]] = self.session.run(self.outputs, feed)
        return results

    def _respond(self, values: Sequence[np.ndarray[Any, Any]]) -> pb.InferenceResponse:
        return pb.InferenceResponse([pb.Tensor(name, value) for name, value in zip(self.outputs, values, strict=True)])
