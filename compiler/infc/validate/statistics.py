"""Percentiles of latencies with distribution-free intervals, for samples that may depend on each other.

Latencies of a queue are not independent: one busy period makes a run of slow requests. Every interval here is
therefore computed for the *effective* number of samples, the count divided by the design effect, which
`design_effect` estimates by batch means.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from infc.ir.interval import Interval

Floats = NDArray[np.float64]

MIN_BLOCKS = 24
"""Blocks below which the variance between blocks says too little (its relative error is about sqrt(2 / blocks))."""
MIN_EXCEEDANCES = 30
"""Exceedances that a threshold must have before its clustering can be estimated."""
LOWER_THRESHOLDS = (75.0, 90.0)
"""Percentiles whose exceedances show the clustering of a queue early."""
QUEUE_MEMORY = 16.0
"""How long a queue remembers, as a multiple of its p99: M/M/1's relaxation time is 8 times its p99 at utilisation 0.8
and 16 times at 0.9. Source: relaxation time 2 / (1 - sqrt(utilisation))^2 service times, Cohen, The Single Server
Queue."""


def nearest_rank(ordered: Floats, percentile: float) -> float:
    """The smallest sample that at least `percentile` percent of the samples do not exceed; no interpolation.

    Args:
        ordered: ascending samples, not empty.
        percentile: above 0, at most 100.

    >>> nearest_rank(np.array([1.0, 2.0, 3.0, 4.0]), 50)
    2.0
    >>> nearest_rank(np.array([1.0, 2.0, 3.0, 4.0]), 99)
    4.0
    """
    rank = math.ceil(_exact_share(percentile) * len(ordered) - 1e-9)
    return float(ordered[max(rank, 1) - 1])


def binomial_cdf(count: int, probability: float) -> Floats:
    """P(X <= k) for k = 0..count, X binomial; accurate to about 1e-9 in the tails that bounds are read from.

    >>> [round(float(p), 4) for p in binomial_cdf(2, 0.5)]
    [0.25, 0.75, 1.0]
    """
    steps = np.arange(count, dtype=np.float64)
    log_ratio = np.log((count - steps) / (steps + 1.0)) + math.log(probability) - math.log1p(-probability)
    log_mass = np.concatenate(([0.0], np.cumsum(log_ratio))) + count * math.log1p(-probability)
    cdf: Floats = np.minimum(np.cumsum(np.exp(log_mass)), 1.0)
    return cdf


@dataclass(frozen=True, kw_only=True)
class RankBounds:
    """Ranks (from 1) of the order statistics that enclose a percentile; `high` None: no sample is surely above it."""

    low: int | None
    high: int | None


def percentile_ranks(count: int, percentile: float, confidence: float) -> RankBounds:
    """Ranks of the two order statistics that enclose the percentile of any distribution with at least `confidence`.

    The number of samples at or below the true percentile is binomial whatever the distribution is; each side gets
    half of the error.

    Source: order-statistic interval for a quantile, David and Nagaraja, Order Statistics, 3rd ed., section 7.1.

    >>> percentile_ranks(1000, 50, 0.95)
    RankBounds(low=469, high=532)
    >>> percentile_ranks(400, 99, 0.99).high is None
    True
    """
    if count < 1:
        return RankBounds(low=None, high=None)
    error = (1.0 - confidence) / 2.0
    cdf = binomial_cdf(count, _exact_share(percentile))
    low = int(np.searchsorted(cdf, error, side="right"))
    high = int(np.searchsorted(cdf, 1.0 - error, side="left")) + 1
    return RankBounds(low=low if low >= 1 else None, high=high if high <= count else None)


def percentile_interval(ordered: Floats, percentile: float, confidence: float, design_effect: float = 1.0) -> Interval:
    """The nearest-rank percentile with distribution-free bounds.

    `low` is 0 and `high` is infinite where the effective samples are too few to bound that side.

    Args:
        ordered: ascending samples, not empty.
        percentile: above 0, below 100.
        confidence: of the two-sided interval, 0 to 1.
        design_effect: samples that carry the information of one independent sample (at least 1).
    """
    count = len(ordered)
    effective = max(1, math.floor(count / design_effect))
    ranks = percentile_ranks(effective, percentile, confidence)
    low = 0.0 if ranks.low is None else float(ordered[math.floor((ranks.low - 1) / effective * count)])
    high = math.inf
    if ranks.high is not None:
        high = float(ordered[min(count, math.ceil(ranks.high / effective * count)) - 1])
    return Interval(value=nearest_rank(ordered, percentile), low=low, high=high)


def mean_interval(samples: Floats, confidence: float) -> Interval:
    """The mean of dependent samples in time order, with bounds from its design effect (normal approximation)."""
    value = float(np.mean(samples))
    if len(samples) < 2:
        return Interval(value=value, low=0.0, high=math.inf)
    spread = float(np.std(samples, ddof=1)) * math.sqrt(design_effect(samples) / len(samples))
    half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * spread
    return Interval(value=value, low=max(0.0, value - half), high=value + half)


def design_effect(samples: Floats, longest_block: float = math.inf) -> float:
    """How many of these samples, in time order, carry the information of one independent sample; at least 1.

    The variance of block means, times the block size, over the variance of single samples, is 1 for independent
    samples and grows to the integrated autocorrelation time as blocks outgrow the correlation. Block sizes double
    while at least `MIN_BLOCKS` blocks are left and none is longer than `longest_block` samples; the largest ratio
    counts. Where the ratio still grows at the largest size, blocks have not outgrown the correlation, and one more
    step of growth is assumed. Both err towards fewer effective samples.

    Source: batch means; Flyvbjerg and Petersen, Error estimates on averages of correlated data, J. Chem. Phys. 91
    (1989).
    """
    count = len(samples)
    variance = float(np.var(samples)) if count else 0.0
    if variance <= 0.0:
        return 1.0
    ratios = [1.0]
    size = 2
    while count // size >= MIN_BLOCKS and size <= longest_block:
        blocks = count // size
        means = samples[count - blocks * size :].reshape(blocks, size).mean(axis=1)
        ratios.append(float(np.var(means, ddof=1)) * size / variance)
        size *= 2
    growth = max((after / before for before, after in pairwise(ratios[-3:]) if before > 0.0), default=1.0)
    return min(max(*ratios, ratios[-1] * growth, 1.0), float(count))


def exceedance_design_effect(
    samples: Floats, percentile: float, *, limit: float | None = None, spacing: float = 1.0
) -> float:
    """The design effect of "above the percentile" (and "above the limit"), which a percentile's error depends on.

    Few samples lie above a high percentile, and a short run may not show that they come in clusters: a busy period
    long enough has not happened yet. So the clustering at `LOWER_THRESHOLDS` counts too, which shows earlier; but
    only within the memory of a queue (`QUEUE_MEMORY`), since a slow drift of the bulk says nothing about the tail.
    The tests measure what is left of error: a p99 test of a limit at the true p99 of an M/M/1 queue errs in 1-4% of
    runs up to utilisation 0.8.

    Args:
        samples: latencies in time order; infinity marks a request that never came back.
        percentile: 0 to 100.
        limit: also look at exceedances of this value.
        spacing: mean time between samples, in the unit of the latencies.
    """
    count = len(samples)
    if count < 2 * MIN_EXCEEDANCES:
        return 1.0
    ordered = np.sort(samples)
    highest = 100.0 * (1.0 - max(1.0 - _exact_share(percentile), MIN_EXCEEDANCES / count))
    effect = design_effect((samples > nearest_rank(ordered, highest)).astype(np.float64))
    memory = QUEUE_MEMORY * nearest_rank(ordered, 99.0) / spacing
    for level in LOWER_THRESHOLDS:
        if level < highest:
            above = (samples > nearest_rank(ordered, level)).astype(np.float64)
            effect = max(effect, design_effect(above, memory))
    if limit is not None:
        over = samples > limit
        if min(int(over.sum()), count - int(over.sum())) >= MIN_EXCEEDANCES:
            effect = max(effect, design_effect(over.astype(np.float64)))
    return effect


def percentile_summary(
    samples: Floats, percentiles: Sequence[float], confidence: float, *, spacing: float = 1.0
) -> dict[str, Interval]:
    """`mean` and `pNN` of samples in time order, each with its interval. Samples must not be empty.

    `spacing` is the mean time between samples, in the unit of the samples.
    """
    ordered = np.sort(samples)
    summary = {"mean": mean_interval(samples, confidence)}
    for percentile in percentiles:
        effect = exceedance_design_effect(samples, percentile, spacing=spacing)
        summary[f"p{percentile:g}"] = percentile_interval(ordered, percentile, confidence, effect)
    return summary


def _exact_share(percentile: float) -> float:
    """99.9 -> 0.999 without the rounding error of a division by 100."""
    return float(f"{percentile / 100.0:.12g}")
