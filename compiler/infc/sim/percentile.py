"""The one definition of a percentile: nearest rank, so that every reported latency is one that happened."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def rank_of(percentile: float, count: int) -> int:
    """Position, from 1, among `count` ascending values: the smallest that at least `percentile`% of them do not exceed.

    >>> [rank_of(p, 10) for p in (0, 10, 50, 51, 99, 100)]
    [1, 1, 5, 6, 10, 10]
    """
    # 99.9% of 1000 is 999 in exact arithmetic, and must not become 1000 by rounding.
    return max(math.ceil(percentile * count / 100.0 - 1e-9), 1)


def percentile(values: npt.NDArray[np.float64], percentile: float) -> float:
    """The nearest-rank percentile of values in any order.

    Raises:
        ValueError: there are no values.

    >>> percentile(np.array([5.0, 1.0, 3.0, 2.0]), 50)
    2.0
    """
    return percentiles(values, (percentile,))[0]


def percentiles(values: npt.NDArray[np.float64], asked: Sequence[float]) -> tuple[float, ...]:
    """Several nearest-rank percentiles of the same values.

    Raises:
        ValueError: there are no values.

    >>> percentiles(np.arange(1.0, 101.0), (50, 99, 99.9))
    (50.0, 99.0, 100.0)
    """
    if len(values) == 0:
        raise ValueError("no values, so no percentile")
    ordered = np.sort(values)
    return tuple(float(ordered[rank_of(each, len(ordered)) - 1]) for each in asked)
