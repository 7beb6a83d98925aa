"""Ratios between runtimes: what the package holds is what the data says, and every kind has one."""

import subprocess
import sys
from pathlib import Path

import pytest

from infc.ir.engine_kind import ENGINE_KINDS
from infc.ir.interval import Interval
from infc.perf.framework import LARGE_BATCH, engine_ratio, product, rising

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_figures_are_those_of_the_data() -> None:
    """The script that fits them finds every figure that the package holds."""
    done = subprocess.run(
        [sys.executable, "framework_ratio.py", "--check"], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ENGINE_KINDS)
@pytest.mark.parametrize("is_cpu", [True, False])
def test_every_kind_has_a_ratio_with_an_interval_around_it(kind: str, is_cpu: bool) -> None:
    """TensorRT and ONNX Runtime on a CPU are what the model predicts; the others lie around a measured multiple."""
    for batch in (1, LARGE_BATCH):
        ratio = engine_ratio(kind, batch, is_cpu=is_cpu)  # type: ignore[arg-type]
        assert ratio.low <= ratio.value <= ratio.high
        if kind in ("tensorrt", "tensorrt_rtx", "onnxruntime"):
            assert ratio == Interval.exact(1.0)


def test_products_widen_and_times_never_fall() -> None:
    """Two uncertain figures make a less certain one; a lower ratio at a larger batch does not shorten the execution."""
    left, right = Interval(value=2.0, low=1.0, high=4.0), Interval(value=3.0, low=1.5, high=6.0)
    both = product(left, right)
    assert both.value == pytest.approx(6.0)
    assert both.high / both.value > left.high / left.value
    slow, fast = Interval.exact(2.0), Interval(value=1.0, low=0.5, high=3.0)
    assert rising((slow, fast))[1] == Interval(value=2.0, low=2.0, high=3.0)
