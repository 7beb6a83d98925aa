"""A small classifier in which one layer alone cannot bear eight bits, with data to calibrate and to test it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, CLASSES, LAYERS = 32, 8, 6
SENSITIVE = "layer_3"
SPEC = """
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {name: sensitive}
model: {onnx: network.onnx}
slo: {latency: {p99: 200ms}}
accuracy: {dataset: data.npz, metric: top1, floor: 0.9, max_drop: 6%}
quantization: {calibration: calibration.npz}
workload: {arrival: poisson, rate: 5/s}
constraints: {hardware: [cpu], precision: [int8]}
objective: latency
deploy: {server: triton}
"""


def write_workspace(folder: Path, floor: float = 0.9) -> Path:
    """The spec, the network, 800 samples labelled with the network's own answers, and 64 to calibrate with."""
    folder.mkdir(parents=True, exist_ok=True)
    model = network()
    onnx.save(model, folder / "network.onnx")
    random = np.random.default_rng(11)
    samples = random.normal(size=(864, WIDTH)).astype(np.float32)
    answers = reference(model, samples)
    np.savez(folder / "calibration.npz", x=samples[:64])
    np.savez(folder / "data.npz", x=samples[64:], labels=answers[64:].argmax(axis=1))
    (folder / "sensitive.infc.yaml").write_text(SPEC.replace("floor: 0.9", f"floor: {floor:g}").lstrip())
    return folder


def network() -> onnx.ModelProto:
    """Six products with rectifiers between them; before layer 3 one channel is 300 times the others.

    A scale for the whole activation then leaves the other channels two levels. Layer 3 divides the channel again.
    """
    random = np.random.default_rng(5)
    nodes, weights, value = [], [], "x"
    for layer in range(LAYERS):
        width = CLASSES if layer == LAYERS - 1 else WIDTH
        matrix = random.normal(size=(WIDTH, width)) * np.sqrt(2.0 / WIDTH)
        if layer == 2:
            matrix[:, 0] *= 300.0
        if layer == 3:
            matrix[0, :] /= 300.0
        weights.append(numpy_helper.from_array(matrix.astype(np.float32), f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [f"p{layer}"], name=f"layer_{layer}"))
        value = f"p{layer}"
        if layer < LAYERS - 1:
            nodes.append(helper.make_node("Relu", [value], [f"r{layer}"], name=f"relu_{layer}"))
            value = f"r{layer}"
    nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        nodes,
        "sensitive",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def reference(model: onnx.ModelProto, samples: np.ndarray) -> np.ndarray:
    """What the network answers in FP32."""
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": samples})[0])
