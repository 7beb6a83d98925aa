"""Models in ONNX text, and contexts to lower them in."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from infc.ir.precision import Precision
from infc.lower.arrays import Calibration
from infc.lower.passes import PassContext
from infc.lower.settings import LoweringSettings
from infc.resolve.onnx_analysis import analyse

HEADER = '<ir_version: 10, opset_import: ["" : 18]>\n'


def model(text: str, header: str = HEADER) -> onnx.ModelProto:
    """A model from ONNX text, checked."""
    parsed = onnx.parser.parse_model(header + text)
    onnx.checker.check_model(parsed, full_check=True)
    return parsed


def text_of(value: onnx.ModelProto) -> str:
    """The graph's text without node names, which no number depends on."""
    copy = onnx.ModelProto()
    copy.CopyFrom(value)
    for node in copy.graph.node:
        node.name = ""
    for tensor in copy.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    return onnx.printer.to_text(copy.graph)


def context_for(
    value: onnx.ModelProto,
    folder: Path,
    precision: Precision = Precision.FP32,
    settings: LoweringSettings | None = None,
    samples: Mapping[str, NDArray[np.generic]] | None = None,
) -> PassContext:
    """A context for one model, its profile from the real analysis."""
    path = folder / "model.onnx"
    onnx.save(value, path)
    profile = analyse(path, "model").profile
    assert profile is not None
    return PassContext(
        profile=profile,
        precision=precision,
        settings=settings or LoweringSettings(),
        calibration=Calibration(inputs=samples, digest="test") if samples else None,
    )


def answers(value: onnx.ModelProto, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    """The outputs of ONNX Runtime without any graph rewrite."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(value.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def numbers(count: int, scale: float, seed: int) -> str:
    """Normal numbers in ONNX text."""
    return ", ".join(f"{value:.4f}" for value in np.random.default_rng(seed).normal(size=count) * scale)


CONV_NET = """
net (float[n, 2, 6, 6] x) => (float[n, 3] y) <
  float[4, 2, 3, 3] w1 = {W1}, float[4] b1 = {0.1, -0.1, 0.2, 0.0},
  float[4, 3] w2 = {0.5, -0.25, 0.1, 0.3, 0.2, -0.6, -0.1, 0.9, 0.4, 0.7, -0.8, 0.05}, float[3] b2 = {0.0, 0.5, -0.5}
> {
  c = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
  r = Relu (c)
  p = GlobalAveragePool (r)
  f = Flatten (p)
  y = Gemm (f, w2, b2)
}
""".replace("W1", numbers(72, 0.3, 3))

ATTENTION = """
attention (float[n, 4, 8] x) => (float[n, 4, 8] y) <
  float[8, 8] wq = {WQ}, float[8, 8] wk = {WK}
> {
  q = MatMul (x, wq)
  k = MatMul (x, wk)
  kt = Transpose <perm = [0, 2, 1]> (k)
  s = MatMul (q, kt)
  a = Softmax (s)
  y = MatMul (a, x)
}
""".replace("WQ", numbers(64, 0.4, 5)).replace("WK", numbers(64, 0.4, 6))


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Standard normal values."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
