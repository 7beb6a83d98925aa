"""What values a model's activations take on real data: run once on the CPU with every float tensor as an output."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from infc.lower import graph as g
from infc.lower.arrays import Calibration

SAMPLES = 16
SENTINEL = 1e30


def activation_peaks(
    model: onnx.ModelProto, calibration: Calibration, batch_size: int, masks: Mapping[str, float]
) -> Mapping[str, float]:
    """The largest finite magnitude of every float activation over the first samples, `batch_size` samples at a time.

    Magnitudes from 1e30 count as stand-ins for infinity and are left out, and so are those from `masks` on for the
    values that carry an attention mask.
    """
    import onnxruntime as ort

    probe = g.copy(model)
    types = g.element_types(model)
    known = {value.name for value in probe.graph.output}
    names = [n for node in probe.graph.node for n in node.output if types.get(n) == TensorProto.FLOAT]
    probe.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    peaks = dict.fromkeys(names, 0.0)
    for index in range(0, min(SAMPLES, calibration.samples) - batch_size + 1, batch_size):
        feeds = {name: values[index : index + batch_size] for name, values in calibration.inputs.items()}
        for name, value in zip(names, session.run(names, feeds), strict=True):
            magnitudes = np.abs(value)
            numbers = magnitudes[magnitudes < masks.get(name, SENTINEL)]
            if numbers.size:
                peaks[name] = max(peaks[name], float(numbers.max()))
    return peaks
