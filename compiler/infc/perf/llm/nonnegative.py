"""Least squares with coefficients that are not negative."""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_TOLERANCE = 1e-10


def fit_nonnegative(rows: Matrix, target: Matrix) -> Matrix:
    """The x >= 0 with the least |rows @ x - target|: float64[columns].

    Source: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.

    >>> fit_nonnegative(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2.0, -1.0]))
    array([2., 0.])
    """
    columns = rows.shape[1]
    gram, moment = rows.T @ rows, rows.T @ target
    scale = float(np.abs(moment).max()) or 1.0
    found = np.zeros(columns)
    is_free = np.zeros(columns, dtype=np.bool_)
    for _ in range(10 * columns):
        gradient = np.where(is_free, -np.inf, moment - gram @ found)
        entering = int(np.argmax(gradient))
        if gradient[entering] <= _TOLERANCE * scale:
            break
        is_free[entering] = True
        while True:
            trial = _solved(gram, moment, is_free)
            if np.all(trial[is_free] > 0.0):
                found = trial
                break
            # Go towards the trial until the first coefficient reaches 0, and hold that one there.
            falling = is_free & (trial <= 0.0)
            share = float(np.min(found[falling] / np.maximum(found[falling] - trial[falling], 1e-300)))
            found = found + share * (trial - found)
            is_free &= found > _TOLERANCE * max(float(found.max()), 1e-300)
            found = np.where(is_free, found, 0.0)
            if not is_free.any():
                break
    return found


def _solved(gram: Matrix, moment: Matrix, is_free: npt.NDArray[np.bool_]) -> Matrix:
    found = np.zeros(len(moment))
    index = np.flatnonzero(is_free)
    found[index] = np.linalg.lstsq(gram[np.ix_(index, index)], moment[index], rcond=None)[0]
    return found
