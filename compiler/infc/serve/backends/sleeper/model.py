"""A GPU engine's place holder: takes the service time that was planned for the batch and answers zeros.

It stands in for `tensorrt` and `tensorrt_rtx` where there is no GPU, so that the real server's scheduling can be
measured. Seconds by batch size (from 1) come from the model configuration's parameter `infc.service_times_s`
("0.0051,0.0083"), or from `service_times.json` ({"service_times_s": [...]}) beside the engine. An instance group has
times of its own in `infc.service_times_s.NAME`. `infc.seconds_per_element` is added for every row and every element of
the longest request's last dimension, as in a model with a sequence axis. What this process does itself counts towards
that time; what the server and its channel to this process add around it is subtracted: `infc.server_overhead_s`, by
batch size, or one value for all.
"""

from __future__ import annotations  # the server's module lacks some of the types named here

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb


def _parameter(config: Mapping[str, Any], name: str) -> str:
    return str(config.get("parameters", {}).get(name, {}).get("string_value", ""))


def _service_times_s(config: Mapping[str, Any], args: Mapping[str, str]) -> list[float]:
    instance = args["model_instance_name"]
    groups = [group["name"] for group in config.get("instance_group", [])]
    own = [f"infc.service_times_s.{name}" for name in groups if instance.startswith(name)]
    for name in (*own, "infc.service_times_s"):
        listed = _parameter(config, name)
        if listed:
            return [float(value) for value in listed.split(",")]
    path = os.path.join(args["model_repository"], args["model_version"], "service_times.json")
    if not os.path.exists(path):
        raise pb.TritonModelException(
            "there is no GPU, and neither parameter infc.service_times_s nor service_times.json gives a time"
        )
    with open(path, encoding="utf-8") as file:
        return [float(value) for value in json.load(file)["service_times_s"]]


class TritonPythonModel:
    """One instance of an engine that only keeps time."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: pb.ModelConfig) -> pb.ModelConfig:
        """Leave the configuration as it is written."""
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the service times and make one row of zeros for each output."""
        config = json.loads(args["model_config"])
        self.is_batched = config.get("max_batch_size", 0) > 0
        self.first_input = config["input"][0]["name"]
        service_times_s = _service_times_s(config, args)
        if config.get("max_batch_size", 0) > len(service_times_s):
            raise pb.TritonModelException(
                f"max_batch_size is {config['max_batch_size']}, but the times end at {len(service_times_s)}"
            )
        overhead_s = [float(value) for value in (_parameter(config, "infc.server_overhead_s") or "0").split(",")]
        self.element_s = float(_parameter(config, "infc.seconds_per_element") or 0.0)
        last = len(overhead_s) - 1
        self.sleep_s = [time_s - overhead_s[min(i, last)] for i, time_s in enumerate(service_times_s)]
        self.outputs = []
        for output in config["output"]:
            shape = [max(int(size), 1) for size in output["dims"]]
            self.outputs.append((output["name"], shape, pb.triton_string_to_numpy(output["data_type"])))

    def execute(self, requests: Sequence[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Answer zeros once the planned time of this batch has passed."""
        started = time.monotonic()
        shapes = [pb.get_input_tensor_by_name(request, self.first_input).shape() for request in requests]
        rows = [int(shape[0]) if self.is_batched else 1 for shape in shapes]
        responses = [self._zeros(n) for n in rows]
        batch_size = min(max(sum(rows), 1), len(self.sleep_s))
        elements = batch_size * max((int(shape[-1]) for shape in shapes), default=0) if self.element_s else 0
        wanted_s = self.sleep_s[batch_size - 1] + elements * self.element_s
        time.sleep(max(started + wanted_s - time.monotonic(), 0.0))
        return responses

    def _zeros(self, rows: int) -> pb.InferenceResponse:
        batch = [rows] if self.is_batched else []
        return pb.InferenceResponse(
            [pb.Tensor(name, np.zeros(batch + shape, dtype)) for name, shape, dtype in self.outputs]
        )
