"""Metrics as weighted statistics: `statistic(weights)` gives one value per row of `weights[resamples, samples]`.

A bootstrap resample is a row of counts, so every resample is computed at once, without copying the data. A row of
ones gives the metric itself.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int64]
Statistic: TypeAlias = Callable[[Floats], Floats]


def weighted_mean(per_sample: npt.ArrayLike) -> Statistic:
    """The mean of one score per sample.

    >>> weighted_mean([1.0, 0.0])(np.array([[1.0, 1.0], [3.0, 1.0]])).tolist()
    [0.5, 0.75]
    """
    scores = np.asarray(per_sample, dtype=np.float64)
    return lambda weights: weights @ scores / weights.sum(axis=1)


def hits(logits: Floats, labels: Labels, k: int) -> npt.NDArray[np.bool_]:
    """Whether one of the `k` highest outputs is the label, or in the label's set (columns, padded with -1)."""
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    accepted = labels.reshape(len(labels), -1)
    found = (best[:, :, None] == accepted[:, None, :]) & (accepted >= 0)[:, None, :]
    return np.asarray(found.any(axis=(1, 2)))


def macro_f1(outputs: Floats, labels: Labels) -> Statistic:
    """Mean F1 over the classes that occur among labels or predictions.

    Labels `int[n]`: the highest output is the prediction. Labels 0/1 `[n, classes]`: outputs above 0.5 are, or above
    0 when any lies outside 0 to 1 (logits).
    """
    truth = _one_hot(labels, outputs.shape[1])
    if labels.ndim == 1:
        predicted = _one_hot(outputs.argmax(axis=1).astype(np.int64), outputs.shape[1])
    else:
        is_probability = bool(outputs.min() >= 0) and bool(outputs.max() <= 1)
        predicted = outputs > (0.5 if is_probability else 0.0)
    both = (truth & predicted).astype(np.float64)
    total = truth.astype(np.float64) + predicted.astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        twice, sums = 2 * (weights @ both), weights @ total
        scores = np.divide(twice, sums, out=np.zeros_like(twice), where=sums > 0)
        return np.asarray(scores.sum(axis=1) / np.maximum((sums > 0).sum(axis=1), 1))

    return statistic


def mean_average_precision(outputs: Floats, labels: Labels) -> Statistic:
    """Mean over classes (those with a sample) of the average precision of the ranking by that class's output."""
    truth = _one_hot(labels, outputs.shape[1]).astype(np.float64)
    columns = [
        (order, truth[order, c])
        for c in range(outputs.shape[1])
        if truth[:, c].any()
        for order in (np.argsort(-outputs[:, c], kind="stable"),)
    ]

    def statistic(weights: Floats) -> Floats:
        total, classes = np.zeros(len(weights)), np.zeros(len(weights))
        for order, relevant in columns:
            ranked = weights[:, order]
            found = ranked * relevant
            precision = np.cumsum(found, axis=1) / np.maximum(np.cumsum(ranked, axis=1), 1e-300)
            positives = found.sum(axis=1)
            total += np.where(positives > 0, (found * precision).sum(axis=1) / np.maximum(positives, 1e-300), 0.0)
            classes += positives > 0
        return np.asarray(total / np.maximum(classes, 1))

    return statistic


def pearson(predicted: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Pearson's correlation of predictions with scores.

    >>> float(pearson([1, 2, 3], [2, 4, 6])(np.ones((1, 3)))[0].round(9))
    1.0
    """
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    return lambda weights: _correlation(weights, np.broadcast_to(x, weights.shape), np.broadcast_to(y, weights.shape))


def spearman(predicted: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Spearman's rank correlation; ties share their mean rank, in every resample anew.

    >>> float(spearman([1, 2, 3, 4], [10, 20, 20, 30])(np.ones((1, 4)))[0].round(4))
    0.9487
    """
    rank_x, rank_y = _weighted_ranks(np.asarray(predicted, np.float64)), _weighted_ranks(np.asarray(scores, np.float64))
    return lambda weights: _correlation(weights, rank_x(weights), rank_y(weights))


def cosine_rows(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> Floats:
    """Cosine similarity of each row of `first` with the same row of `second`; 0 where a row is all zero."""
    a = first.reshape(len(first), -1).astype(np.float64)
    b = second.reshape(len(second), -1).astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = np.einsum("ij,ij->i", a, b)
    return np.asarray(np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0))


def _one_hot(labels: Labels, classes: int) -> npt.NDArray[np.bool_]:
    if labels.ndim == 2:
        return labels.astype(bool)
    return np.asarray(labels[:, None] == np.arange(classes)[None, :])


def _weighted_ranks(values: Floats) -> Callable[[Floats], Floats]:
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], np.diff(values[order]) != 0)))
    group = np.empty(len(values), dtype=np.intp)
    group[order] = np.cumsum(np.isin(np.arange(len(values)), starts)) - 1

    def ranks(weights: Floats) -> Floats:
        sizes = np.add.reduceat(weights[:, order], starts, axis=1)
        middle = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
        return np.asarray(middle[:, group])

    return ranks


def _correlation(weights: Floats, x: Floats, y: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    dx = x - (weights * x).sum(axis=1, keepdims=True) / total
    dy = y - (weights * y).sum(axis=1, keepdims=True) / total
    covariance = (weights * dx * dy).sum(axis=1)
    spread = np.sqrt((weights * dx * dx).sum(axis=1) * (weights * dy * dy).sum(axis=1))
    return np.asarray(np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0))
