"""INT8, FP8 and INT4: Q/DQ nodes that TensorRT (or ONNX Runtime's CPU kernels) take, from calibration data."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower.calibrate import Range
from infc.lower.emulate import emulated
from infc.lower.lowering import PASSES, run_passes
from infc.lower.passes import PassContext
from infc.lower.qdq import insert
from infc.lower.quantize import quantize
from infc.lower.settings import LoweringSettings, settings_for
from tests.lower.models import ATTENTION, CONV_NET, HEADER, answers, context_for, model, normal

OPSET_19 = HEADER.replace("18", "19")
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
    """One setting leaves products of two activations in the remainder's precision."""
    before = model(ATTENTION)
    samples = {"x": normal(16, 4, 8)}
    counts = []
    for settings in (LoweringSettings(), LoweringSettings(is_attention_quantized=False)):
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


def run(text: str, folder: Path, precision: Precision, **settings: object) -> tuple[onnx.ModelProto, PassReport]:
    """A model in a precision, and what the quantising pass said; random data calibrates."""
    before = model(text)
    chosen = LoweringSettings(**settings)  # type: ignore[arg-type]
    shape = [4 if d.dim_param else d.dim_value for d in before.graph.input[0].type.tensor_type.shape.dim]
    context = context_for(before, folder, precision, chosen, {"x": normal(*[16, *shape[1:]])})
    result = run_passes(before, PASSES[precision], context)
    assert not isinstance(result, Diagnostic), result
    return result[0], next(report for report in result[1] if report.name == "quantize")


def test_fp8_scales_map_to_448(tmp_path: Path) -> None:
    """E4M3 weights per channel behind a DequantizeLinear, one pair per activation, scales of peak / 448."""
    before = model(
        "g (float[2, 2] x) => (float[2, 2] y) <float[2, 2] w = {1, -448, 2, 224}> { y = MatMul (x, w) }", OPSET_19
    )
    expected = model(
        """
        g (float[2, 2] x) => (float[2, 2] y) <
          float x__scale = {0.5}, float8e4m3fn x__zero = {0}, float8e4m3fn[2, 2] w__fp8 = {120, 254, 126, 118},
          float[2] w__fp8_scale = {0.00446429, 1}, float8e4m3fn[2] w__fp8_zero = {0, 0}
        > {
          x__fp8 = QuantizeLinear (x, x__scale, x__zero)
          x__dequantized = DequantizeLinear (x__fp8, x__scale, x__zero)
          w__fp8_dequantized = DequantizeLinear <axis = 1> (w__fp8, w__fp8_scale, w__fp8_zero)
          y = MatMul (x__dequantized, w__fp8_dequantized)
        }
        """,
        OPSET_19,
    )
    ranges = {"x": Range(lowest=-224.0, highest=100.0)}
    after = insert(before, ["", "y"], ranges, Precision.FP8, is_half=False)
    assert [n.op_type for n in after.graph.node] == [n.op_type for n in expected.graph.node]
    assert [(t.name, t.data_type, tuple(t.dims)) for t in after.graph.initializer] == [
        (t.name, t.data_type, tuple(t.dims)) for t in expected.graph.initializer
    ]
    stored = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in after.graph.initializer}
    assert stored["x__scale"] == 0.5
    np.testing.assert_allclose(stored["w__fp8_scale"], [2 / 448, 1])
    np.testing.assert_allclose(stored["w__fp8"] * stored["w__fp8_scale"], [[1, -448], [2, 224]], rtol=1e-6)
    np.testing.assert_allclose(answers(after, {"x": np.eye(2, dtype=np.float32)})[0], [[1, -448], [2, 224]], rtol=1e-6)


@pytest.mark.parametrize("precision", [Precision.FP8, Precision.INT8])
@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_every_method_serves_both_formats(tmp_path: Path, precision: Precision, method: str) -> None:
    """INT8 and FP8 keep the direction of the output with every calibration method, in the arithmetic of a GPU."""
    after, report = run(ATTENTION, tmp_path, precision, calibration_method=method)
    feeds = {"x": normal(8, 4, 8, seed=3)}
    got, want = answers(emulated(after), feeds)[0], answers(model(ATTENTION), feeds)[0]
    assert float((got * want).sum() / np.linalg.norm(got) / np.linalg.norm(want)) > 0.98
    assert report.notes[0] == f"calibrated on 16 samples ({method})"


def test_int4_rounds_blocks_of_weights(tmp_path: Path) -> None:
    """Blocks of 128 along the summed axis, each with its own scale; no activation is touched and no data is needed."""
    weights = np.random.default_rng(0).normal(size=(256, 64)).astype(np.float32)
    before = onnx.helper.make_model(
        onnx.parser.parse_graph("g (float[n, 256] x) => (float[n, 64] y) { y = MatMul (x, w) }"),
        opset_imports=[onnx.helper.make_opsetid("", 21)],
        ir_version=10,
    )
    before.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    result = run_passes(before, PASSES[Precision.INT4], context_for(before, tmp_path, Precision.INT4))
    assert not isinstance(result, Diagnostic), result
    after = result[0]
    (node,) = (n for n in after.graph.node if n.op_type == "DequantizeLinear")
    stored = {t.name: t for t in after.graph.initializer}
    assert stored[node.input[0]].data_type == TensorProto.INT4
    assert tuple(stored[node.input[1]].dims) == (2, 64)
    scales = np.repeat(numpy_helper.to_array(stored[node.input[1]]).astype(np.float32), 128, axis=0)
    back = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32) * scales
    assert np.all(np.abs(back - weights) <= scales / 2 + 1e-6)
    assert "QuantizeLinear" not in [n.op_type for n in after.graph.node]
    feeds = {"x": normal(8, 256)}
    got, want = answers(emulated(after), feeds)[0], feeds["x"] @ weights
    assert float((got * want).sum() / np.linalg.norm(got) / np.linalg.norm(want)) > 0.99


def test_a_model_that_holds_nothing_of_a_precision_is_refused(tmp_path: Path) -> None:
    """INT4 of a network without large products would be FP16 under another name."""
    before = model(CONV_NET)
    result = run_passes(before, PASSES[Precision.INT4], context_for(before, tmp_path, Precision.INT4))
    assert isinstance(result, Diagnostic)
    assert result.id == "lower-nothing-quantised"
    assert result.notes == ("y: 4 summed elements are not a multiple of 64",)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FP8])
def test_kept_operators_have_no_qdq(tmp_path: Path, precision: Precision) -> None:
    """An exception reads the activation itself while its neighbours read the quantised one, and the report says why."""
    after, report = run(ATTENTION, tmp_path, precision, kept=("k", "y"))
    assert dict(report.kept) == dict.fromkeys(("k", "y"), "raised back to keep the accuracy")
    made = {n.output[0]: n.op_type for n in after.graph.node}
    nodes = {n.name: n for n in after.graph.node}
    assert [made.get(name) for name in nodes["q"].input] == ["DequantizeLinear", "DequantizeLinear"]
    assert "DequantizeLinear" not in [made.get(name) for name in (*nodes["k"].input, *nodes["y"].input)]


def test_kept_operators_on_the_cpu_read_floats(tmp_path: Path) -> None:
    """The convolution in front of a kept operator writes floats, however integer kernels are chained."""
    after, _ = run(CONV_NET, tmp_path, Precision.INT8, kept=("y",), dialect="onnxruntime", remainder=Precision.FP32)
    (gemm,) = (n for n in after.graph.node if n.op_type == "Gemm")
    made = {n.output[0]: n.op_type for n in after.graph.node}
    assert [made.get(name) for name in gemm.input] == ["Flatten", None, None]


def test_quantising_twice_is_quantising_once(tmp_path: Path) -> None:
    """The pass sees what it made and leaves it alone."""
    before = model(CONV_NET)
    context = context_for(before, tmp_path, Precision.FP8, samples=SAMPLES)
    prepared = run_passes(before, PASSES[Precision.FP8][:4], context)
    assert isinstance(prepared, tuple)
    once = quantize(prepared[0], context)
    assert isinstance(once, tuple)
    assert quantize(once[0], context) == (once[0], PassReport(name="quantize", changed=0, notes=("already quantised",)))


def test_an_operator_beyond_fp16_keeps_its_qdq_in_fp32(tmp_path: Path) -> None:
    """Where calibration exceeds FP16, scales and product are FP32, and the answer is finite and right."""
    text = ATTENTION.replace("q = MatMul (x, wq)", "far = Mul (x, big)\n  q1 = MatMul (far, wq)\n  q = Mul (q1, small)")
    text = text.replace("float[8, 8] wq", "float big = {1e6}, float small = {1e-6}, float[8, 8] wq")
    after, _ = run(text, tmp_path, Precision.INT8)
    feeds = {"x": normal(8, 4, 8, seed=3)}
    got, want = answers(emulated(after), feeds)[0], answers(model(text), feeds)[0]
    assert float((got * want).sum() / np.linalg.norm(got) / np.linalg.norm(want)) > 0.98
    kinds = {t.name: t.data_type for t in after.graph.initializer}
    scales = {n.input[0]: kinds[n.input[1]] for n in after.graph.node if n.op_type == "QuantizeLinear"}
    assert scales["far"] == TensorProto.FLOAT
    assert scales["x__fp16"] == TensorProto.FLOAT16
