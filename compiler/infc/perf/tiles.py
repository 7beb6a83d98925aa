"""How much of a device a matrix product keeps busy: its work in tiles, and the tiles in waves over the multiprocessors.

A product of M x N over K is cut into tiles that one multiprocessor works on at a time. Small products leave
multiprocessors idle, narrow ones waste part of a tile, small tiles load more bytes per operation. The cheapest of the
usual tiles counts, as a tuned engine picks it.
"""

import numpy as np

from infc.perf.work import FloatArray

TILES = ((256, 128), (128, 128), (128, 64), (64, 64), (64, 32), (32, 32))
"""Rows and columns of the result that one multiprocessor makes at a time.

Source: threadblock shapes of CUTLASS 2.x/3.x kernels for NVIDIA tensor cores.
"""
SPLITS = (1, 2, 4, 8)
"""Into how many parts the sum over K may be cut, each a tile of its own (split-K)."""
SHORTEST_SUM = 256
START = 64.0
"""Terms of the sum over K that filling and draining a tile's pipeline takes as long as."""
SPLIT_COST = 1.15
NARROWEST = 2.0
"""Columns that a result has at least; constants that give fewer are scales, not operands."""
LOAD_COST = 16.0
"""Operations that loading one row or column of a tile costs, in operations per element: what makes small tiles slow."""


def busy_flops(flops: FloatArray, weights: FloatArray, outputs: FloatArray, multiprocessors: float) -> FloatArray:
    """FLOPs that the device could have done in the time that matrix products of `flops` FLOPs keep it.

    Args:
        flops: of the products, float64[kernel, batch].
        weights: elements of their constant operand, float64[kernel]; products without one are returned as they are.
        outputs: elements of their results, float64[kernel, batch].
        multiprocessors: of the device.

    >>> flops, out = np.array([[2.0 * 1024 * 1024 * 1024]]), np.array([[1024.0 * 1024]])
    >>> round(float(busy_flops(flops, np.array([1024.0 * 1024]), out, 100)[0, 0] / flops[0, 0]), 2)
    1.57
    """
    known = (weights > 0.0) & (outputs[:, -1] > 0.0) & (flops[:, -1] > 0.0)
    known &= weights * 2.0 * outputs[:, -1] > NARROWEST * flops[:, -1]
    if not known.any():
        return flops
    made = outputs[known]
    depth = np.maximum(1.0, flops[known] / (2.0 * np.maximum(made, 1.0)))
    columns = np.maximum(1.0, weights[known][:, None] / depth)
    rows = np.maximum(1.0, made / columns)
    best = np.full(made.shape, np.inf)
    large = TILES[0][0] * TILES[0][1]
    cheapest = 1.0 + LOAD_COST * (TILES[0][0] + TILES[0][1]) / large
    for height, width in TILES:
        load = (1.0 + LOAD_COST * (height + width) / (height * width)) / cheapest
        tiles = np.ceil(rows / height) * np.ceil(columns / width)
        for split in SPLITS:
            waves = np.ceil(tiles * split / multiprocessors)
            work = waves * multiprocessors * (2.0 * height * width * load) * (depth / split + START)
            if split > 1:
                work = np.where(depth / split < SHORTEST_SUM, np.inf, work * SPLIT_COST)
            np.minimum(best, work, out=best)
    result = flops.copy()
    result[known] = np.maximum(best, flops[known])
    return result
