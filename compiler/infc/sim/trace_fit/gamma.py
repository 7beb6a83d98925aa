"""The gamma distribution with mean 1, which the gaps of the bursty process follow."""

import math

import numpy as np

from infc.sim.arrivals import Times

_MOST_TERMS = 2000
_TINY = 1e-300
SMALLEST_GAP = 1e-4
"""Gaps below this share of the mean count as this long: a trace's clock does not resolve them."""


def log_likelihood(gaps: Times, cv: float) -> float:
    """Log likelihood of gaps, given as multiples of their mean, under the coefficient of variation `cv`."""
    shape = 1.0 / cv**2
    floored = np.maximum(gaps, SMALLEST_GAP)
    constant = shape * math.log(shape) - math.lgamma(shape)
    return float(len(gaps) * constant + (shape - 1.0) * np.log(floored).sum() - shape * floored.sum())


def distribution(gaps: Times, cv: float) -> Times:
    """The share of gaps up to each of `gaps`, which are multiples of the mean.

    Source: the series and the continued fraction of the regularized incomplete gamma function (Abramowitz and Stegun,
    6.5.29 and 6.5.31).

    >>> distribution(np.array([0.0, 1.0]), cv=1.0).round(6).tolist()
    [0.0, 0.632121]
    """
    shape = 1.0 / cv**2
    x = np.asarray(gaps, dtype=np.float64) * shape
    found = np.zeros_like(x)
    is_low = (x > 0.0) & (x < shape + 1.0)
    is_high = x >= shape + 1.0
    with np.errstate(divide="ignore"):
        scale = np.exp(shape * np.log(np.maximum(x, _TINY)) - x - math.lgamma(shape))
    if is_low.any():
        found[is_low] = (_series(shape, x[is_low]) * scale[is_low]).clip(0.0, 1.0)
    if is_high.any():
        found[is_high] = (1.0 - _fraction(shape, x[is_high]) * scale[is_high]).clip(0.0, 1.0)
    return found


def _series(shape: float, x: Times) -> Times:
    term = np.full_like(x, 1.0 / shape)
    total = term.copy()
    for step in range(1, _MOST_TERMS):
        term = term * x / (shape + step)
        total += term
        if float(term.max()) < 1e-12 * float(total.min()):
            break
    return total


def _fraction(shape: float, x: Times) -> Times:
    """Lentz's evaluation of the continued fraction of the upper part."""
    b = x + 1.0 - shape
    c = np.full_like(x, 1.0 / _TINY)
    d = 1.0 / b
    result = d.copy()
    for step in range(1, _MOST_TERMS):
        a = -step * (step - shape)
        b = b + 2.0
        d = 1.0 / _away_from_zero(a * d + b)
        c = _away_from_zero(b + a / c)
        change = d * c
        result = result * change
        if float(np.abs(change - 1.0).max()) < 1e-12:
            break
    return result


def _away_from_zero(values: Times) -> Times:
    return np.where(np.abs(values) < _TINY, _TINY, values)
