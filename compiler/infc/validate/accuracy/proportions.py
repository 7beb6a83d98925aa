"""Intervals for counted metrics (top1, top5): exact for one proportion, score-based for the ratio of two paired ones.

Resampling cannot see errors that did not occur: with no discordant sample a bootstrap interval has width zero. These
do not have that flaw.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from infc.ir.interval import Interval
from infc.validate.statistics import binomial_cdf

_STEPS = 48


def proportion_interval(successes: int, samples: int, confidence: float) -> Interval:
    """Exact two-sided bounds for a proportion.

    Source: Clopper and Pearson, Biometrika 26 (1934).

    >>> bounds = proportion_interval(1840, 2000, 0.95)
    >>> round(bounds.low, 4), round(bounds.high, 4)
    (0.9072, 0.9315)
    """
    error = (1.0 - confidence) / 2.0
    low, high = 0.0, 1.0
    if successes > 0:
        low = _bisect(lambda p: 1.0 - float(binomial_cdf(samples, p)[successes - 1]) < error)
    if successes < samples:
        high = _bisect(lambda p: float(binomial_cdf(samples, p)[successes]) > error)
    return Interval(value=successes / samples, low=low, high=high)


def relative_drop_interval(
    reference: npt.NDArray[np.bool_], subject: npt.NDArray[np.bool_], confidence: float
) -> Interval:
    """`1 - p_subject / p_reference` of two models judged on the same samples, with two-sided score bounds.

    Inverts the score test of `p_subject = ratio * p_reference` for paired binary data, whose variance under the
    hypothesis is `ratio * (p10 + p01)` with the discordant cells at their constrained maximum likelihood. Reference
    with no hit: 0 to 1.
    Source: Nam and Blackwelder, Statistics in Medicine 21 (2002); agrees with Wilson's bound when no sample is
    discordant.

    >>> same = np.ones(1000, dtype=bool)
    >>> bounds = relative_drop_interval(same, same, 0.95)
    >>> round(bounds.low, 5), bounds.value, round(bounds.high, 5)
    (-0.00384, 0.0, 0.00383)
    """
    both = int((reference & subject).sum())
    lost = int((reference & ~subject).sum())
    gained = int((~reference & subject).sum())
    samples = len(reference)
    if both + lost == 0:
        return Interval(value=0.0, low=0.0, high=1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    ratio = (both + gained) / (both + lost)
    smallest = _bisect(lambda r: _score(r, both, lost, gained, samples) > z, 1e-9, max(ratio, 1e-9))
    top = 2.0 * ratio + 1.0
    while _score(top, both, lost, gained, samples) > -z and top < 1e6:
        top *= 2.0
    largest = _bisect(lambda r: _score(r, both, lost, gained, samples) > -z, ratio, top)
    return Interval(value=1.0 - ratio, low=1.0 - largest, high=1.0 - smallest)


def _score(ratio: float, both: int, lost: int, gained: int, samples: int) -> float:
    """The score statistic of `p_subject = ratio * p_reference`; falls as the ratio grows."""
    judged = both + lost + gained
    share = judged / samples
    a = -(1.0 + ratio) * ratio * judged
    b = share * (-both * (1.0 - ratio**2) + lost * ratio**2 + gained * (2.0 * ratio**2 - 1.0))
    c = gained * ratio * share**2 * (1.0 - ratio)
    p01 = (b + math.sqrt(max(b * b - 4.0 * a * c, 0.0))) / (-2.0 * a)
    p01 = min(max(p01, share * (ratio - 1.0) / ratio, 0.0), ratio * share / (1.0 + ratio))
    p10 = ratio * p01 + share * (1.0 - ratio)
    variance = samples * ratio * max(p10 + p01, 0.0)
    difference = (both + gained) - ratio * (both + lost)
    if variance <= 0.0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)


def _bisect(is_below: Callable[[float], bool], low: float = 0.0, high: float = 1.0) -> float:
    """The point where a condition that holds below it stops to hold."""
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2.0
