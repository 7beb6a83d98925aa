"""Tiles and waves: what a matrix product keeps busy."""

import numpy as np
import pytest

from infc.perf.tiles import NARROWEST, busy_flops


def busy(rows: float, columns: float, depth: float, multiprocessors: float = 100.0) -> float:
    """Busy FLOPs of one product over its own FLOPs."""
    flops = np.array([[2.0 * rows * columns * depth]])
    found = busy_flops(flops, np.array([columns * depth]), np.array([[rows * columns]]), multiprocessors)
    return float(found[0, 0] / flops[0, 0])


def test_a_large_product_keeps_nearly_all_of_the_device_busy() -> None:
    """Hundreds of waves of full tiles waste little, and never less than nothing."""
    assert 1.0 <= busy(100_000, 4096, 4096) < 1.15


def test_a_small_product_leaves_multiprocessors_idle() -> None:
    """One row of a tile still takes a tile, and 49 positions do not fill a large device."""
    assert busy(49, 512, 4608) > 2.0
    assert busy(49, 512, 4608, multiprocessors=8) < busy(49, 512, 4608, multiprocessors=132)


def test_busy_work_never_falls_with_the_batch() -> None:
    """A larger batch keeps the device busy at least as long."""
    batches = np.arange(1.0, 65.0)
    flops = (2.0 * 196 * 256 * 1024 * batches)[None, :]
    found = busy_flops(flops, np.array([256.0 * 1024]), (196.0 * 256 * batches)[None, :], 108)[0]
    assert (np.diff(found) >= -1e-6).all()
    assert (found >= flops[0]).all()


@pytest.mark.parametrize("weights", [0.0, NARROWEST / 2.0])
def test_products_without_a_constant_operand_are_left_as_they_are(weights: float) -> None:
    """Attention multiplies activations; a scale that it is fused with is no operand."""
    flops, outputs = np.array([[1e9]]), np.array([[1e6]])
    assert busy_flops(flops, np.array([weights]), outputs, 100) is not None
    assert float(busy_flops(flops, np.array([weights]), outputs, 100)[0, 0]) == 1e9
