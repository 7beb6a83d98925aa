"""What FP16 would break: each case overflows or cancels when it is converted blindly, and is right as infc converts it.

Answers are those of arithmetic that rounds after each operator, as a GPU does; ONNX Runtime alone would hide them.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower.emulate import emulated
from infc.lower.half import FORMATS, convert
from infc.lower.lowering import PASSES, run_passes
from infc.lower.unsafe import EXPONENTIAL, VARIANCE, mask_thresholds
from tests.lower.models import answers, context_for, model, normal

LAYER_NORM = """
g (float[n, 64] x) => (float[n, 64] y) <int64[1] last = {-1}, float two = {2}, float eps = {1e-12}> {
  mean = ReduceMean (x, last)
  centred = Sub (x, mean)
  square = Pow (centred, two)
  variance = ReduceMean (square, last)
  safe = Add (variance, eps)
  deviation = Sqrt (safe)
  y = Div (centred, deviation)
}
"""
MOMENTS = """
g (float[n, 64] x) => (float[n, 64] y) <int64[1] last = {-1}, float share = {0.015625}, float zero = {0}> {
  total = ReduceSum (x, last)
  mean = Mul (total, share)
  square = Mul (x, x)
  squares = ReduceSum (square, last)
  moment = Mul (squares, share)
  mean_square = Mul (mean, mean)
  difference = Sub (moment, mean_square)
  variance = Max (difference, zero)
  deviation = Sqrt (variance)
  inverse = Reciprocal (deviation)
  centred = Sub (x, mean)
  y = Mul (centred, inverse)
}
"""
NORM = """
g (float[n, 64] x) => (float[n, 64] y) <int64[1] last = {-1}> { length = ReduceL2 (x, last)  y = Div (x, length) }
"""
EXPONENTIALS = """
g (float[n, 8] x) => (float[n, 8] y) <int64[1] last = {-1}> {
  e = Exp (x)
  sum = ReduceSum (e, last)
  y = Div (e, sum)
}
"""
LONG_SUM = """
g (float[n, 512] x) => (float[n, 2] y) <float[512, 2] w = {WEIGHTS}, float small = {1e-5}> {
  sum = MatMul (x, w)
  y = Mul (sum, small)
}
""".replace("WEIGHTS", ", ".join(["100"] * 1024))
MASK = """
g (float[n, 4] x, float[n, 4] keep) => (float[n, 4] y) <float one = {1}, float far = {FAR}> {
  drop = Sub (one, keep)
  mask = Mul (drop, far)
  score = Add (x, mask)
  y = Softmax (score)
}
"""
Feeds = dict[str, NDArray[np.float32]]


def converted(value: onnx.ModelProto, folder: Path, feeds: Feeds | None) -> tuple[onnx.ModelProto, PassReport]:
    """FP16 by infc, with these samples as calibration data or without any."""
    result = run_passes(value, PASSES[Precision.FP16], context_for(value, folder, Precision.FP16, samples=feeds))
    assert not isinstance(result, Diagnostic), result
    return result[0], result[1][-1]


def blindly(value: onnx.ModelProto) -> onnx.ModelProto:
    """Every operator in FP16."""
    return convert(value, {}, FORMATS[Precision.FP16], frozenset())[0]


@pytest.mark.parametrize(
    ("text", "scale", "operators", "reason"),
    [
        (LAYER_NORM, 500, ["square", "variance", "safe", "deviation"], VARIANCE),
        (
            MOMENTS,
            500,
            [node.output[0] for node in onnx.parser.parse_graph(MOMENTS).node][:-2],
            VARIANCE,
        ),
        (EXPONENTIALS, 6, ["e", "sum", "y"], EXPONENTIAL),
    ],
)
def test_structures_are_kept_without_data(
    text: str, scale: float, operators: list[str], reason: str, tmp_path: Path
) -> None:
    """Variances, norms and exponentials stay FP32 as one region with its reason, though nothing was calibrated."""
    value = model(text)
    feeds = {"x": normal(16, value.graph.input[0].type.tensor_type.shape.dim[1].dim_value) * np.float32(scale)}
    want = answers(value, feeds)[0]
    assert not np.allclose(answers(emulated(blindly(value)), feeds)[0], want, rtol=0.02, atol=2e-3)
    after, report = converted(value, tmp_path, None)
    assert report.kept == dict.fromkeys(operators, reason)
    assert len(report.notes) == 1
    assert report.notes[0].startswith(f"{len(operators)} operators stay FP32")
    assert_allclose(answers(emulated(after), feeds)[0], want, rtol=0.02, atol=2e-3)


def test_a_norm_hides_its_squares(tmp_path: Path) -> None:
    """The sum inside a single operator is no value that calibration could see: the operator is kept as such."""
    value = model(NORM)
    feeds = {"x": normal(16, 64) * np.float32(500)}
    after, report = converted(value, tmp_path, feeds)
    assert report.kept == {"length": "sums squares, which FP16 ends at 256 for"}
    assert_allclose(answers(emulated(after), feeds)[0], answers(value, feeds)[0], rtol=0.02, atol=2e-3)


def test_a_long_sum_is_kept_by_its_measured_value(tmp_path: Path) -> None:
    """A product whose result passes FP16's end is found by calibration; the note says what SM 7.5 cannot do."""
    value = model(LONG_SUM)
    feeds = {"x": np.abs(normal(8, 512)) * 10}
    want = answers(value, feeds)[0]
    assert np.isinf(answers(emulated(blindly(value)), feeds)[0]).all()
    after, report = converted(value, tmp_path, feeds)
    assert list(report.kept) == ["sum", "y"]
    assert "SM 7.5 has no FP32 matrix product" in report.kept["sum"]
    assert_allclose(answers(emulated(after), feeds)[0], want, rtol=0.01)


@pytest.mark.parametrize("far", ["-1e9", "-3.4e38", "-1e6"])
def test_masks_saturate_and_the_softmax_stays_fp16(far: str, tmp_path: Path) -> None:
    """A mask's constant saturates at half of FP16's range: no operator stays FP32, a masked row stays finite."""
    value = model(MASK.replace("FAR", far))
    keep = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], np.float32)
    feeds = {"x": normal(3, 4) * 20, "keep": keep}
    after, report = converted(value, tmp_path, feeds)
    assert report.kept == {}
    assert set(mask_thresholds(value)) == {"far", "mask", "score"}
    got, want = answers(emulated(after), feeds)[0], answers(value, feeds)[0]
    assert_allclose(got[[0, 2]], want[[0, 2]], atol=2e-3)
    assert_allclose(got[1].sum(), 1, atol=1e-3)


def test_an_infinite_mask_stays_infinite(tmp_path: Path) -> None:
    """-inf through Where is the same in FP16: probability 0."""
    value = model(
        """
        g (float[n, 4] x, bool[n, 4] keep) => (float[n, 4] y) <float far = {-inf}> {
          score = Where (keep, x, far)
          y = Softmax (score)
        }
        """
    )
    feeds = {"x": normal(2, 4), "keep": np.array([[True, True, False, False], [True] * 4])}
    after, report = converted(value, tmp_path, feeds)  # type: ignore[arg-type]
    assert report.kept == {}
    assert_allclose(answers(emulated(after), feeds)[0], answers(value, feeds)[0], atol=2e-3)


def test_a_large_number_that_is_no_mask_stays(tmp_path: Path) -> None:
    """The same constant on a way that does not end in a Softmax keeps its operators in FP32."""
    value = model(MASK.replace("FAR", "-1e9").replace("y = Softmax (score)", "y = Tanh (score)"))
    assert mask_thresholds(value) == {}
    _, report = converted(value, tmp_path, None)
    assert list(report.kept) == ["mask"]


def test_a_shifted_softmax_is_not_kept(tmp_path: Path) -> None:
    """Exponentials behind the subtraction of the largest value are below 1: FP16 holds them."""
    value = model(
        """
        g (float[n, 8] x) => (float[n, 8] y) <int64[1] last = {-1}> {
          top = ReduceMax (x, last)
          shifted = Sub (x, top)
          e = Exp (shifted)
          sum = ReduceSum (e, last)
          y = Div (e, sum)
        }
        """
    )
    _, report = converted(value, tmp_path, None)
    assert report.kept == {}


def test_bf16_keeps_variances_and_no_range(tmp_path: Path) -> None:
    """BF16 holds every magnitude, but not the difference of two large sums."""
    value = model(MOMENTS)
    feeds = {"x": normal(16, 64) + np.float32(30)}
    want = answers(value, feeds)[0]
    blind = convert(value, {}, FORMATS[Precision.BF16], frozenset())[0]
    assert not np.allclose(answers(emulated(blind), feeds)[0], want, atol=0.5)
    result = run_passes(value, PASSES[Precision.BF16], context_for(value, tmp_path, Precision.BF16))
    assert isinstance(result, tuple)
    assert_allclose(answers(emulated(result[0]), feeds)[0], want, atol=0.5)
