"""INT8: Q/DQ nodes that TensorRT (or ONNX Runtime's CPU kernels) take, from calibration data."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from infc.diag import Diagnostic
from infc.ir.precision import Precision
from infc.lower import PASSES, LoweringSettings, fallbacks, run_passes, settings_for
from infc.lower.passes import PassContext
from tests.lower.models import ATTENTION, CONV_NET, answers, context_for, model, normal

SAMPLES = {"x": normal(32, 2, 6, 6)}


def lowered(value: onnx.ModelProto, context: PassContext) -> onnx.ModelProto:
    """The result of every INT8 pass, verified after each."""
    result = run_passes(value, PASSES[Precision.INT8], context)
    assert not isinstance(result, Diagnostic), result
    return result[0]


def test_tensorrt_gets_symmetric_int8_on_inputs_only(tmp_path: Path) -> None:
    """Q/DQ stand before Conv and Gemm only: int8, zero point 0, weights per channel, no int32 bias, FP16 elsewhere."""
    before = model(CONV_NET)
    after = lowered(before, context_for(before, tmp_path, Precision.INT8, samples=SAMPLES))
    weights = {t.name: t for t in after.graph.initializer}
    quantizers = [n for n in after.graph.node if n.op_type == "QuantizeLinear"]
    assert [n.op_type for n in after.graph.node].count("DequantizeLinear") == len(quantizers) + 2
    assert len(quantizers) == 2
    for node in after.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert weights[node.input[2]].data_type == TensorProto.INT8
            assert not numpy_helper.to_array(weights[node.input[2]]).any()
            assert weights[node.input[1]].data_type == TensorProto.FLOAT16
    assert TensorProto.INT32 not in {t.data_type for t in weights.values()}
    scales = [tuple(weights[n.input[1]].dims) for n in after.graph.node if n.input[0] in weights]
    assert sorted(scales) == [(3,), (4,)]


def test_cpu_kernels_get_uint8_activations_and_chained_operators(tmp_path: Path) -> None:
    """For ONNX Runtime the output of a convolution is uint8 too, so that integer kernels follow each other."""
    before = model(CONV_NET)
    context = context_for(before, tmp_path, Precision.INT8, settings_for("cpu"), SAMPLES)
    after = lowered(before, context)
    assert {t.data_type for t in after.graph.initializer} >= {TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32}
    assert "Relu" not in [n.op_type for n in after.graph.node]
    int8 = [numpy_helper.to_array(t) for t in after.graph.initializer if t.data_type == TensorProto.INT8 and t.dims]
    assert max(int(np.abs(w.astype(int)).max()) for w in int8) <= 64


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_answers_stay_close(tmp_path: Path, kind: str, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every method and dialect keeps the direction of the output; nothing is printed (standard output is for data)."""
    before = model(CONV_NET)
    settings = settings_for("cpu" if kind == "cpu" else "gpu", method=method)  # type: ignore[arg-type]
    after = lowered(before, context_for(before, tmp_path, Precision.INT8, settings, SAMPLES))
    feeds = {"x": normal(64, 2, 6, 6, seed=1)}
    got, want = answers(after, feeds)[0], answers(before, feeds)[0]
    assert float((got * want).sum() / np.linalg.norm(got) / np.linalg.norm(want)) > 0.995
    assert capsys.readouterr().out == ""


def test_attention_can_be_left_alone(tmp_path: Path) -> None:
    """The second settings of `fallbacks` leave products of two activations in the remainder's precision."""
    before = model(ATTENTION)
    samples = {"x": normal(16, 4, 8)}
    counts = []
    for settings in fallbacks(LoweringSettings(), Precision.INT8):
        after = lowered(before, context_for(before, tmp_path, Precision.INT8, settings, samples))
        quantized = {n.output[0] for n in after.graph.node if n.op_type == "DequantizeLinear"}
        counts.append(sum(set(n.input) <= quantized for n in after.graph.node if n.op_type == "MatMul"))
    assert counts == [4, 2]


def test_the_pass_says_what_it_left_alone(tmp_path: Path) -> None:
    """The report names the samples used and each operator that keeps its precision."""
    before = model(ATTENTION)
    settings = LoweringSettings(is_attention_quantized=False)
    context = context_for(before, tmp_path, Precision.INT8, settings, {"x": normal(16, 4, 8)})
    result = run_passes(before, PASSES[Precision.INT8], context)
    assert not isinstance(result, Diagnostic)
    notes = next(report.notes for report in result[1] if report.name == "quantize")
    assert notes[0] == "calibrated on 16 samples (minmax)"
    assert sum("attention" in note for note in notes) == 2


def test_without_data_the_way_out_is_said(tmp_path: Path) -> None:
    """INT8 without calibration data is a diagnostic that names the spec's key."""
    before = model(CONV_NET)
    result = run_passes(before, PASSES[Precision.INT8], context_for(before, tmp_path, Precision.INT8))
    assert isinstance(result, Diagnostic)
    assert result.id == "calibration-missing"
    assert "quantization.calibration" in (result.help or "")


def test_a_fixed_batch_is_calibrated_in_that_batch(tmp_path: Path) -> None:
    """A model exported with batch 4 is calibrated with batches of 4."""
    before = model(CONV_NET.replace("[n, ", "[4, "))
    after = lowered(before, context_for(before, tmp_path, Precision.INT8, samples=SAMPLES))
    assert answers(after, {"x": normal(4, 2, 6, 6)})[0].shape == (4, 3)
