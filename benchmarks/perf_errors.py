"""How wrong the performance model is: half-widths of intervals, and one printed line per group of rows."""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]


def half_width(errors: Array) -> float:
    """The factor that holds nine of ten held-out rows, with the finite-sample correction."""
    ordered = np.sort(np.abs(errors))
    rank = min(len(ordered), math.ceil(0.9 * (len(ordered) + 1)))
    return float(np.exp(ordered[rank - 1]))


def report(name: str, errors: Array, width: float | None = None) -> None:
    """One line of the table: median absolute error, 90th percentile, bias, coverage."""
    if not len(errors):
        return
    absolute = np.exp(np.abs(errors)) - 1
    covered = "" if width is None else f"  covered {np.mean(np.abs(errors) <= math.log(width)):5.1%} by x{width:.2f}"
    middle, most = np.median(absolute), np.quantile(absolute, 0.9)
    bias = np.exp(np.median(errors)) - 1
    print(f"{name:<34}{len(errors):>5} rows  median error {middle:6.1%}  p90 {most:6.1%}  bias {bias:+6.1%}{covered}")
