"""16-bit arithmetic on the CPU: the numbers that a GPU would round, which ONNX Runtime's FP32 kernels would not."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from onnx.reference import ReferenceEvaluator

from infc.ir.precision import Precision
from infc.lower.emulate import emulated, has_half_arithmetic
from infc.lower.lowering import PASSES, run_passes
from tests.lower.models import CONV_NET, HEADER, answers, context_for, model, normal, text_of

OPSET_22 = HEADER.replace("18", "22")
SQUARE = """
g (float[n, 3] x) => (float[n, 3] y) {
  low = Cast <to = %d> (x)
  square = Mul (low, low)
  root = Sqrt (square)
  y = Cast <to = 1> (root)
}
"""


def test_every_result_is_rounded_where_it_is_made(tmp_path: Path) -> None:
    """Each 16-bit result becomes an FP32 one with two casts behind it; what only moves values gets none."""
    before = model(
        """
        g (float[2, 2] x) => (float[4] y) <float16[2] w = {15360, 16384}, int64[1] flat = {-1}> {
          low = Cast <to = 10> (x)
          sum = Add (low, w)
          line = Reshape (sum, flat)
          y = Cast <to = 1> (line)
        }
        """
    )
    expected = model(
        """
        g (float[2, 2] x) => (float[4] y) <float[2] w = {1, 2}, int64[1] flat = {-1}> {
          low__exact = Cast <to = 1> (x)
          low__rounded = Cast <to = 10> (low__exact)
          low = Cast <to = 1> (low__rounded)
          sum__exact = Add (low, w)
          sum__rounded = Cast <to = 10> (sum__exact)
          sum = Cast <to = 1> (sum__rounded)
          line = Reshape (sum, flat)
          y = Cast <to = 1> (line)
        }
        """
    )
    assert text_of(emulated(before)) == text_of(expected)


def test_an_overflow_shows_that_the_runtime_hides() -> None:
    """300 squared is infinite in FP16: the emulated model says so, ONNX Runtime's own FP16 does not."""
    before = model(SQUARE % 10)
    feeds = {"x": np.array([[300.0, 1.0, 255.0]], np.float32)}
    assert answers(before, feeds)[0][0, 0] == 300
    assert_array_equal(answers(emulated(before), feeds)[0], [[np.inf, 1.0, 255.0]])


@pytest.mark.parametrize(("kind", "low"), [(10, np.float16), (16, ml_dtypes.bfloat16)])
def test_numbers_equal_arithmetic_that_rounds_every_step(kind: int, low: type) -> None:
    """Bit for bit what numpy gets when each step is stored in the format."""
    before = model(SQUARE % kind, OPSET_22)
    x = normal(64, 3, seed=4)
    square = (x.astype(low).astype(np.float32) ** 2).astype(low).astype(np.float32)
    expected = np.sqrt(square).astype(low).astype(np.float32)
    assert_array_equal(answers(emulated(before), {"x": x})[0], expected)


def test_bf16_convolutions_run(tmp_path: Path) -> None:
    """A lowered BF16 network, which ONNX Runtime's CPU kernels refuse, answers like the reference implementation."""
    before = model(CONV_NET)
    result = run_passes(before, PASSES[Precision.BF16], context_for(before, tmp_path, Precision.BF16))
    assert isinstance(result, tuple)
    low = result[0]
    assert has_half_arithmetic(low)
    feeds = {"x": normal(4, 2, 6, 6)}
    got = answers(emulated(low), feeds)[0]
    assert_allclose(got, answers(before, feeds)[0], rtol=0.05, atol=0.02)
    assert not has_half_arithmetic(emulated(low))
    reference = ReferenceEvaluator(emulated(low)).run(None, feeds)[0]
    assert_allclose(got, reference, rtol=0.01, atol=0.004)


def test_a_16_bit_interface_stays() -> None:
    """A model that takes and gives FP16 keeps doing so, and what reads its outputs inside reads the rounded value."""
    before = model(
        "g (float16[n, 2] x) => (float16[n, 2] y, float16[n, 2] z) { y = Mul (x, x)  z = Sqrt (y) }", OPSET_22
    )
    after = emulated(before)
    onnx.checker.check_model(after, full_check=True)
    feeds = {"x": np.array([[3.001, 300.0]], np.float16)}
    y, z = answers(after, feeds)
    assert_array_equal(y, np.array([[9.016, np.inf]], np.float16))
    assert_array_equal(z, np.sqrt(y))


def test_a_model_without_16_bit_values_is_left_alone() -> None:
    """FP32 stays the same object, and emulating twice is emulating once."""
    before = model(CONV_NET)
    assert emulated(before) is before
    once = emulated(model(SQUARE % 10))
    assert emulated(once) is once
