"""Ranges from calibration data: the three methods, whatever fits one batch of memory, and the cache."""

from pathlib import Path

import numpy as np
import pytest

from infc.lower.arrays import Calibration
from infc.lower.calibrate import BINS, activation_ranges, entropy_bins, percentile_bins
from infc.lower.settings import CalibrationMethod
from tests.lower.models import model

NET = "g (float[n, 1000] x) => (float[n, 1000] z) { y = Mul (x, x)  z = Neg (y) }"


def data(*, outlier: float, samples: int = 20) -> Calibration:
    """Uniform numbers in -1..1 with one far value in the last sample."""
    x = np.random.default_rng(0).uniform(-1, 1, size=(samples, 1000)).astype(np.float32)
    x[-1, 0] = outlier
    return Calibration(inputs={"x": x}, digest=str(outlier))


@pytest.mark.parametrize(
    ("method", "low", "high"), [("minmax", 8.0, 8.0), ("percentile", 7.9, 8.0), ("entropy", 0.5, 4.0)]
)
def test_methods_differ_in_what_they_clip(method: CalibrationMethod, low: float, high: float) -> None:
    """Min-max keeps one value in 20,000, entropy gives it up for the resolution of the others."""
    ranges = activation_ranges(model(NET), ("x", "y"), data(outlier=-8.0), method, fixed_batch=None, cache=None)
    assert low <= ranges["x"].magnitude <= high
    assert ranges["y"].lowest == 0.0


def test_a_rare_value_in_a_hundred_thousand_is_clipped_by_the_percentile() -> None:
    """99.999% of the values are kept."""
    ranges = activation_ranges(
        model(NET), ("x",), data(outlier=100.0, samples=300), "percentile", fixed_batch=None, cache=None
    )
    assert ranges["x"].magnitude < 1.1


def test_bins() -> None:
    """A distribution that fills its range is not clipped; a long thin tail is."""
    even = np.full(BINS, 100, dtype=np.int64)
    assert entropy_bins(even) == BINS
    assert percentile_bins(even) == BINS
    tail = (1e6 * np.exp(-((np.arange(BINS) / 60) ** 2) / 2)).astype(np.int64)
    tail[-1] = 1
    assert entropy_bins(tail) < 600
    assert percentile_bins(tail) < 300


def test_all_zero_activations_have_a_range() -> None:
    """An activation that is never anything but zero breaks no method."""
    still = Calibration(inputs={"x": np.zeros((4, 1000), np.float32)}, digest="zero")
    for method in ("minmax", "entropy", "percentile"):
        ranges = activation_ranges(model(NET), ("x", "y"), still, method, fixed_batch=None, cache=None)  # type: ignore[arg-type]
        assert ranges["y"].magnitude == 0.0


def test_ranges_are_kept_by_what_decides_them(tmp_path: Path) -> None:
    """The same question is answered from the cache; other data, method or values are not; damage is found."""
    value, first = model(NET), data(outlier=3.0)

    def asked(method: CalibrationMethod = "minmax", calibration: Calibration = first) -> object:
        return activation_ranges(value, ("x", "y"), calibration, method, fixed_batch=None, cache=tmp_path)

    ranges = asked()
    (entry,) = tmp_path.iterdir()
    stamp = entry.stat().st_mtime_ns
    assert asked() == ranges
    assert entry.stat().st_mtime_ns == stamp
    asked("percentile")
    asked(calibration=data(outlier=4.0))
    assert len(list(tmp_path.iterdir())) == 3
    entry.write_text("{ damaged")
    assert asked() == ranges
