"""Whether an answer agrees with the reference's, and how far it is from it."""

import numpy as np

FARTHEST = 10.0
"""What counts for a distance that is larger, or that cannot be said: shapes that differ, values that are no numbers."""


def compare(kind, tolerance, answer, reference, is_batched):
    """Whether every row of an output agrees, and the distance of the row that is farthest off.

    `argmax`: the reference gives the class of the answer its own best score, or one that is lower by at most
    `tolerance` of the norm of its scores. `close`: the difference is at most `tolerance` of the reference's norm.
    `equal`: every value is the same. A distance is the norm of the difference over the reference's norm; of `equal` it
    is the share of values that differ.

    >>> compare("argmax", 0.01, np.array([[1.0, 3.0]]), np.array([[1.1, 2.9]]), True)[0]
    True
    >>> compare("argmax", 0.01, np.array([[1.0, 3.0]]), np.array([[2.9, 1.1]]), True)[0]
    False
    >>> compare("close", 0.1, np.array([[3.0, 4.2]]), np.array([[3.0, 4.0]]), True)
    (True, 0.04...)
    """
    if answer.shape != reference.shape:
        return False, FARTHEST
    if not answer.size:
        return True, 0.0
    if kind == "equal":
        different = float(np.mean(answer != reference))
        return different == 0.0, different
    rows = answer.shape[0] if is_batched and answer.ndim else 1
    wanted = np.asarray(reference, dtype=np.float64).reshape(rows, -1)
    found = np.asarray(answer, dtype=np.float64).reshape(rows, -1)
    results = [_compare_row(kind, tolerance, a, r) for a, r in zip(found, wanted, strict=True)]
    return all(agrees for agrees, _ in results), max((distance for _, distance in results), default=0.0)


def _compare_row(kind, tolerance, answer, reference):
    finite = np.isfinite(reference)
    if not np.array_equal(answer[~finite], reference[~finite], equal_nan=True) or not np.isfinite(answer[finite]).all():
        return False, FARTHEST
    answer, reference = np.where(finite, answer, 0.0), np.where(finite, reference, 0.0)
    norm = float(np.linalg.norm(reference))
    error = float(np.linalg.norm(answer - reference))
    distance = min(error / norm, FARTHEST) if norm else (FARTHEST if error else 0.0)
    if kind == "argmax":
        behind = float(reference.max() - reference[int(answer.argmax())])
        return behind <= tolerance * norm, distance
    return distance <= tolerance, distance
