"""Sizes drawn from a distribution that is known by some percentiles and its maximum."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from infc.ir.problem import AxisDistribution

Integers = npt.NDArray[np.int64]

_TOP = 99.9
"""The percentile at which the maximum is reached: one request in a thousand has it."""
_BOTTOM = 0.1
_GRID = 4096


def sample_lengths(distribution: AxisDistribution, count: int, seed: int) -> Integers:
    """`count` sizes, int64[count], from 1 to the maximum, that hit the given percentiles whatever the seed.

    Between percentiles the logarithm of the size is linear in the normal quantile (piecewise log-normal, as lengths of
    texts are); below the lowest it goes on with the slope above it. Without percentiles every size is the maximum.
    The seed only shuffles: the sizes are those of `count` evenly spaced ranks.

    >>> lengths = sample_lengths(AxisDistribution(percentiles={50: 512, 90: 1800}, maximum=4096), 1000, seed=0)
    >>> [int(each) for each in np.quantile(lengths, (0.5, 0.9, 1.0), method="lower")]
    [512, 1800, 4096]
    >>> sample_lengths(AxisDistribution(percentiles={}, maximum=7), 3, seed=0)
    array([7, 7, 7])
    """
    if not distribution.percentiles:
        return np.full(count, distribution.maximum, dtype=np.int64)
    ranks = (np.random.default_rng(seed).permutation(count) + 1.0) / count
    return lengths_at(distribution, ranks)


def lengths_at(distribution: AxisDistribution, ranks: npt.NDArray[np.float64]) -> Integers:
    """The sizes at `ranks` (between 0 and 1) of the distribution."""
    anchors = sorted({**distribution.percentiles, max(_TOP, *distribution.percentiles): distribution.maximum}.items())
    normal = NormalDist()
    quantiles = [normal.inv_cdf(min(percentile, 99.9999) / 100.0) for percentile, _ in anchors]
    logs = np.maximum.accumulate(np.log([max(size, 1) for _, size in anchors])).tolist()
    if anchors[0][0] > _BOTTOM:
        lowest = normal.inv_cdf(_BOTTOM / 100.0)
        slope = (logs[1] - logs[0]) / (quantiles[1] - quantiles[0]) if len(anchors) > 1 else 0.0
        logs.insert(0, max(logs[0] - slope * (quantiles[0] - lowest), 0.0))
        quantiles.insert(0, lowest)
    grid = (np.arange(_GRID) + 0.5) / _GRID
    at_grid = np.asarray([normal.inv_cdf(rank) for rank in grid])
    sizes = np.exp(np.interp(np.interp(ranks, grid, at_grid), quantiles, logs))
    return np.asarray(np.clip(np.rint(sizes), 1, distribution.maximum), dtype=np.int64)


def mean_length(distribution: AxisDistribution) -> float:
    """The mean size.

    >>> mean_length(AxisDistribution(percentiles={}, maximum=7))
    7.0
    """
    if not distribution.percentiles:
        return float(distribution.maximum)
    return float(lengths_at(distribution, (np.arange(_GRID) + 0.5) / _GRID).mean())


def shared_prefix_tokens(prompt_tokens: Integers, share: float) -> Integers:
    """How many tokens each prompt has in common with all others, where that is `share` of the mean prompt.

    The common part is one text at the start (a system prompt), so that shorter prompts are all of it.

    >>> shared_prefix_tokens(np.array([100, 300, 20]), 0.5)
    array([70, 70, 20])
    """
    return np.minimum(prompt_tokens, int(share * float(prompt_tokens.mean()) + 1e-9))
