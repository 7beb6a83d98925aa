"""Times of the kernels of a step as closed forms: of numbers, or of arrays when coefficients are fitted."""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Real: TypeAlias = float | Array

ACTIVATION_BYTES = 2.0
"""Bytes of one element of the residual stream, and of the cache where no precision is asked for it."""
SHARPNESS = 4.0
"""How sharply a kernel changes from bound by memory to bound by arithmetic: the norm that joins both times."""


def joined(memory_s: Real, compute_s: Real) -> Array:
    """The time of a kernel that needs both times alone: a smooth maximum.

    >>> round(float(joined(1.0, 0.1)), 3), round(float(joined(1.0, 1.0)), 3)
    (1.0, 1.189)
    """
    return np.asarray((np.power(memory_s, SHARPNESS) + np.power(compute_s, SHARPNESS)) ** (1 / SHARPNESS))


def padded(rows: Real, tile: Real) -> Real:
    """Rows that the matrix units work on: up to as many again for few, up to `tile` more for many.

    >>> padded(64.0, 64.0)
    96.0
    """
    return rows * (1 + tile / (rows + tile))


def products_s(tokens: Real, parameters: Real, read_bytes: Real, stream: Real, compute: Real, tile: Real) -> Array:
    """Matrix products of `tokens` rows with `parameters` weights.

    The weights take `read_bytes` at `stream` bytes/s; the arithmetic of the padded rows runs at `compute` operations/s.
    """
    return joined(read_bytes / stream, 2 * parameters * padded(tokens, tile) / compute)


def width_share(hidden: Real, half_width: Real) -> Real:
    """Share of its arithmetic speed that a product keeps when its inner loop is only `hidden` long.

    >>> width_share(1024, 1024)
    0.5
    """
    return hidden / (hidden + half_width)


def chosen_experts(tokens: Real, experts: Real, per_token: Real) -> Array:
    """Expected number of distinct experts that `tokens` tokens choose when each draws `per_token` of them evenly.

    >>> round(float(chosen_experts(1, 128, 8)), 6), round(float(chosen_experts(16, 128, 8)), 1)
    (8.0, 82.4)
    """
    return np.asarray(experts * (1 - (1 - per_token / experts) ** tokens))


def grouped_products_s(
    rows: Real, chosen: Real, parameters: Real, weight_bytes: Real, stream: Real, compute: Real, tile: Real
) -> Array:
    """Products of `rows` (token, expert) pairs with `chosen` experts of `parameters` weights each.

    Every chosen expert is read once, and works on its own padded rows.
    """
    memory_s = chosen * parameters * weight_bytes / stream
    return joined(memory_s, 2 * chosen * padded(rows / chosen, tile) * parameters / compute)


def routed_bytes(rows: Real, hidden: Real, intermediate: Real) -> Real:
    """Activations that a mixture moves besides its weights.

    A row is gathered, written back and summed (four times the residual width), and its gated inner part passes memory.
    """
    return ACTIVATION_BYTES * rows * (4 * hidden + 3 * intermediate)


def elementwise_bytes(tokens: Real, hidden: Real, intermediate: Real) -> Real:
    """Activations that norms, residual sums and the gate of a layer move."""
    return ACTIVATION_BYTES * tokens * (8 * hidden + 3 * intermediate)


def attention_row_bytes(tokens: Real, row_elements: Real) -> Real:
    """Activations that normalising, rotating and caching queries, keys and values move, each read and written twice."""
    return 4 * ACTIVATION_BYTES * tokens * row_elements


def all_reduce_bytes(tokens: Real, hidden: Real, devices: int, *, is_switched: bool) -> Real:
    """Bytes that one device sends in one all-reduce of the residual stream of `tokens` tokens.

    Source: a ring of n devices sends 2 (n - 1) / n of the operand; a switch that reduces on the way needs it once.
    """
    share = 1.0 if is_switched else 2 * (devices - 1) / devices
    return share * ACTIVATION_BYTES * tokens * hidden


def all_reduce_hops(devices: int, *, is_switched: bool) -> float:
    """How the latency of an all-reduce grows with its devices: 1 for two.

    >>> all_reduce_hops(8, is_switched=True), all_reduce_hops(8, is_switched=False)
    (2.0, 3.0)
    """
    doublings = math.log2(devices)
    return (1 + doublings) / 2 if is_switched else doublings


def prefill_share(tokens: Real) -> Real:
    """Share of a prefill's attention kernels in a step: they take over from those of decoding as tokens grow.

    >>> prefill_share(256)
    0.5
    """
    return tokens / (tokens + _PREFILL_TOKENS)


_PREFILL_TOKENS = 256
