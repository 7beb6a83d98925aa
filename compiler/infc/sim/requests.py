"""Requests that differ: rows, priority, the size of an axis, a timeout of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.sim.arrivals import Times

Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Requests:
    """What arrives, in order of arrival; every array has one entry for each request, None stands for equal requests.

    `arrivals_s` ascends from 0 on. `rows` (1 by default) count towards a batch. `axis_sizes` are those of one dynamic
    axis, such as a sequence length. `priorities` are Triton's, 1 the highest; 0 asks for the model's default.
    `timeouts_s` are the requests' own queue timeouts, 0 for none.
    """

    arrivals_s: Times
    rows: Integers | None = None
    axis_sizes: Integers | None = None
    priorities: Integers | None = None
    timeouts_s: Times | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what no client could send."""
        if len(self.arrivals_s) == 0:
            raise ValueError("no request to simulate")
        if self.arrivals_s[0] < 0.0 or np.any(np.diff(self.arrivals_s) < 0.0):
            raise ValueError("arrivals must ascend from 0 on")
        for name, values, least in (
            ("rows", self.rows, 1),
            ("axis_sizes", self.axis_sizes, 1),
            ("priorities", self.priorities, 0),
            ("timeouts_s", self.timeouts_s, 0),
        ):
            if values is not None and (len(values) != len(self.arrivals_s) or values.min() < least):
                raise ValueError(f"{name} need one entry from {least} on for each request")

    @property
    def are_equal(self) -> bool:
        """Whether all requests are of one row and one shape, and ask for nothing of their own."""
        has_one_row = self.rows is None or bool((self.rows == 1).all())
        has_own_timeouts = self.timeouts_s is not None and bool((self.timeouts_s > 0.0).any())
        return has_one_row and self.axis_sizes is None and self.priorities is None and not has_own_timeouts

    @property
    def mean_rows(self) -> float:
        """Rows per request."""
        return 1.0 if self.rows is None else float(self.rows.mean())


def drawn(shares: Mapping[int, float], count: int, seed: int) -> Integers:
    """`count` values, each drawn with its share of the whole, int64[count]. Same arguments, same values.

    >>> drawn({1: 3.0, 8: 1.0}, 6, seed=1).tolist()
    [1, 8, 1, 8, 1, 1]
    """
    weights = np.array(list(shares.values()), dtype=np.float64)
    values = np.array(list(shares), dtype=np.int64)
    return np.asarray(np.random.default_rng(seed).choice(values, size=count, p=weights / weights.sum()))


def padded(sizes: Integers, buckets: Sequence[int]) -> Integers:
    """Each size raised to the smallest bucket that holds it, as clients pad so that requests share shapes.

    Raises:
        ValueError: a size is above the largest bucket.

    >>> padded(np.array([3, 64, 65]), [64, 128]).tolist()
    [64, 64, 128]
    """
    ascending = np.array(sorted(buckets), dtype=np.int64)
    if sizes.max() > ascending[-1]:
        raise ValueError(f"a size of {sizes.max()} is above the largest bucket {ascending[-1]}")
    return np.asarray(ascending[np.searchsorted(ascending, sizes)])
