"""INT8 for ONNX Runtime's CPU kernels, placed by onnxruntime.quantization: uint8 activations, weights in 7 bits."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from infc.lower import graph as g
from infc.lower.calibrate import Range
from infc.lower.placement import Placement


def insert_for_cpu(
    model: onnx.ModelProto,
    placement: Placement,
    ranges: Mapping[str, Range],
    op_types: tuple[str, ...],
    kept: tuple[str, ...],
) -> onnx.ModelProto:
    """The model with Q/DQ nodes that ONNX Runtime's CPU provider fuses into integer kernels.

    Outputs are quantised where integer kernels follow each other, in a CNN. Weights take 7 bits, because 8-bit
    products saturate on x86 without VNNI and the same file must answer alike everywhere. `kept` operators read
    unquantised values, so that an integer kernel in front of them writes floats; outside of CNNs every operator without
    Q/DQ does (a residual sum that reads the rounded input of a product loses far more than the product itself).
    Source: onnxruntime.quantization's advice for CPUs without VNNI.
    """
    is_chained = len(op_types) > len(g.WEIGHTED_OPS)
    options: dict[str, object] = {"WeightSymmetric": True, "ActivationSymmetric": False, "QuantizeBias": is_chained}
    if not is_chained:
        options["OpTypesToExcludeOutputQuantization"] = list(op_types)
    extremes = {
        name: (np.asarray(entry.lowest, np.float32), np.asarray(entry.highest, np.float32))
        for name, entry in ranges.items()
    }
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, extremes),
        nodes_to_quantize=[],
        nodes_to_exclude=sorted(placement.left),
        op_types_to_quantize=list(op_types),
        extra_options=options,
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result = onnx.ModelProto()
    result.CopyFrom(quantizer.model.model)
    result.producer_name, result.producer_version = "", ""
    del result.metadata_props[:]
    _spare(result, set(kept) if is_chained else {node.name for node in model.graph.node} - set(placement.chosen))
    return g.without_stale_types(result)


def _spare(model: onnx.ModelProto, spared: set[str]) -> None:
    """Let operators read what a Q/DQ pair in front of them rounds."""
    made = g.producers(model.graph)
    for node in model.graph.node:
        if node.name not in spared:
            continue
        for index, name in enumerate(node.input):
            back = made.get(name)
            pair = made.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
            if pair is not None and pair.op_type == "QuantizeLinear":
                node.input[index] = pair.input[0]
