"""FP16 and BF16: everything in 16 bits but inputs, outputs and what would break, each with its reason."""

from pathlib import Path

import numpy as np
import onnx
from numpy.testing import assert_allclose
from onnx import TensorProto, numpy_helper

from infc.ir.precision import Precision
from infc.lower.half import to_bf16, to_fp16
from infc.lower.settings import LoweringSettings
from infc.lower.verifier import verify
from tests.lower.models import CONV_NET, HEADER, answers, context_for, model, normal, text_of


def test_a_graph_is_converted_between_two_casts(tmp_path: Path) -> None:
    """Weights become FP16 (their bits, in ONNX text); inputs and outputs keep their names and type."""
    before = model(
        "g (float[n, 2] x) => (float[n, 2] y) <float[2, 2] w = {1, 2, 3, 4}> { h = MatMul (x, w)  y = Relu (h) }"
    )
    expected = model(
        """
        g (float[n, 2] x) => (float[n, 2] y) <float16[2, 2] w__fp16 = {15360, 16384, 16896, 17408}> {
          x__fp16 = Cast <to = 10> (x)
          h = MatMul (x__fp16, w__fp16)
          y__fp16 = Relu (h)
          y = Cast <to = 1> (y__fp16)
        }
        """
    )
    after, report = to_fp16(before, context_for(before, tmp_path, Precision.FP16))
    assert text_of(after) == text_of(expected)
    assert report.changed == 2
    assert report.notes == ()


def test_numbers_stay_within_half_precision(tmp_path: Path) -> None:
    """The converted network answers as the source does, to FP16's resolution."""
    before = model(CONV_NET)
    context = context_for(before, tmp_path, Precision.FP16)
    after, _ = to_fp16(before, context)
    assert verify(after, context) == ()
    feeds = {"x": normal(9, 2, 6, 6)}
    assert_allclose(answers(after, feeds)[0], answers(before, feeds)[0], rtol=0.01, atol=0.005)


def test_values_beyond_the_range_keep_their_operators(tmp_path: Path) -> None:
    """Calibration shows a product beyond 65504: that operator stays in FP32 and says why; the rest is FP16."""
    before = model(
        """
        g (float[n, 4] x) => (float[n, 4] y) <float big = {1000}, float small = {0.001}> {
          a = Mul (x, big)
          b = Mul (a, a)
          c = Sqrt (b)
          y = Mul (c, small)
        }
        """
    )
    named = [f"n{i}" for i, _ in enumerate(before.graph.node)]
    for node, name in zip(before.graph.node, named, strict=True):
        node.name = name
    samples = {"x": np.full((4, 4), 3.0, dtype=np.float32)}
    context = context_for(before, tmp_path, Precision.FP16, samples=samples)
    after, report = to_fp16(before, context)
    assert report.notes == (
        "2 operators stay FP32 (n1 to n2: Mul, Sqrt): value b reaches 9e+06 in calibration, FP16 ends at 65504",
    )
    assert list(report.kept) == ["n1", "n2"]
    assert_allclose(answers(after, samples)[0], answers(before, samples)[0], rtol=0.01)


def test_a_constant_beyond_the_range_keeps_its_operator(tmp_path: Path) -> None:
    """A finite constant that FP16 cannot hold keeps its operator in FP32; an infinity stand-in saturates instead."""
    before = model(
        """
        g (float[n, 2] x) => (float[n, 2] y) <float[1] huge = {100000.0}, float[1] mask = {-3.4e38}> {
          a = Mul (x, huge)
          m = Max (a, mask)
          y = Tanh (m)
        }
        """
    )
    for index, node in enumerate(before.graph.node):
        node.name = f"n{index}"
    after, report = to_fp16(before, context_for(before, tmp_path, Precision.FP16))
    assert len(report.notes) == 1
    assert report.notes[0].startswith("n0 stays FP32: constant huge")
    mask = next(t for t in after.graph.initializer if t.name.startswith("mask"))
    assert numpy_helper.to_array(mask).tolist() == [-65504.0]


def test_an_epsilon_never_becomes_zero(tmp_path: Path) -> None:
    """A tiny positive scalar keeps its sign and stays positive, so that no division by zero appears."""
    before = model("g (float[n, 2] x) => (float[n, 2] y) <float eps = {1e-12}> { y = Add (x, eps) }")
    after, _ = to_fp16(before, context_for(before, tmp_path, Precision.FP16))
    assert float(numpy_helper.to_array(after.graph.initializer[0])) > 0


def test_an_output_that_others_read_too_is_cast_once(tmp_path: Path) -> None:
    """A value that is an output and an input of a kept operator is defined once in each type."""
    before = model(
        """
        g (float[n, 2] x) => (float[n, 2] y, float[n, 2] z) <int64 axis = {1}> {
          y = Relu (x)
          s = CumSum (y, axis)
          z = Neg (s)
        }
        """
    )
    context = context_for(before, tmp_path, Precision.FP16)
    after, report = to_fp16(before, context)
    assert verify(after, context) == ()
    assert any("accumulates" in note for note in report.notes)
    feeds = {"x": normal(3, 2)}
    for got, want in zip(answers(after, feeds), answers(before, feeds), strict=True):
        assert_allclose(got, want, rtol=0.01, atol=1e-3)


def test_converting_twice_is_converting_once(tmp_path: Path) -> None:
    """The pass sees what it made and leaves it alone."""
    before = model(CONV_NET)
    context = context_for(before, tmp_path, Precision.FP16)
    once, _ = to_fp16(before, context)
    twice, report = to_fp16(once, context)
    assert twice == once
    assert report.changed == 0


def test_bf16_holds_every_float(tmp_path: Path) -> None:
    """BF16 has FP32's range: nothing is kept back, and every weight is BF16."""
    header = HEADER.replace("18", "22")
    before = model(CONV_NET, header)
    context = context_for(before, tmp_path, Precision.BF16)
    after, report = to_bf16(before, context)
    assert verify(after, context) == ()
    assert report.notes == ()
    assert {t.data_type for t in after.graph.initializer} == {TensorProto.BFLOAT16}


def test_int8_scales_are_exact_in_fp16(tmp_path: Path) -> None:
    """A Q/DQ scale below FP16's normal range is rounded up and the weights behind it are requantised to match."""
    before = model(
        """
        g (float[n, 2] x) => (float[n, 2] y) <
          int8[2, 2] w = {127, 50, -127, 3}, float[2] s = {1.01e-7, 0.01}, int8[2] zero = {0, 0}
        > {
          wf = DequantizeLinear <axis = 1> (w, s, zero)
          y = MatMul (x, wf)
        }
        """,
        HEADER.replace("18", "19"),
    )
    settings = LoweringSettings(remainder=Precision.FP16)
    context = context_for(before, tmp_path, Precision.INT8, settings)
    after, _ = to_fp16(before, context)
    tensors = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    scale, weights = tensors["s__fp16"].astype(np.float64), tensors["w"].astype(np.float64)
    exact = np.array([[127, 50], [-127, 3]]) * np.array([1.01e-7, 0.01])
    assert np.all(scale >= [1.01e-7, 0.01])
    assert np.all(np.abs(weights * scale - exact) <= scale / 2 + 1e-12)
    assert onnx.checker.check_model(after, full_check=True) is None
