"""Percentiles of latencies with distribution-free intervals, without NumPy: for devices, which have none.

The same numbers as `infc.validate.statistics`, which says where they come from; the tests hold them side by side.
"""

from __future__ import annotations

import math
from typing import Sequence  # noqa: UP035 - Python 3.8

LEAST_BLOCKS = 24
LEAST_EXCEEDANCES = 30
EARLY_PERCENTILES = (75.0, 90.0)
MEMORY_OF_A_QUEUE = 16.0


def exact_share(percentile: float) -> float:
    """99.9 -> 0.999 without the rounding error of a division by 100."""
    return float(f"{percentile / 100.0:.12g}")


def nearest_rank_of(ordered: Sequence[float], percentile: float) -> float:
    """The smallest of ascending samples that at least `percentile` percent of them do not exceed.

    >>> nearest_rank_of([1.0, 2.0, 3.0, 4.0], 50), nearest_rank_of([1.0, 2.0, 3.0, 4.0], 99)
    (2.0, 4.0)
    """
    rank = math.ceil(exact_share(percentile) * len(ordered) - 1e-9)
    return ordered[max(rank, 1) - 1]


def enclosing_ranks(count: int, percentile: float, confidence: float) -> tuple[int | None, int | None]:
    """Ranks (from 1) of the order statistics that enclose a percentile; None: no sample bounds that side.

    >>> enclosing_ranks(1000, 50, 0.95), enclosing_ranks(400, 99, 0.99)[1] is None
    ((469, 532), True)
    """
    if count < 1:
        return None, None
    error, share = (1.0 - confidence) / 2.0, exact_share(percentile)
    log_odds, log_mass = math.log(share) - math.log1p(-share), count * math.log1p(-share)
    low = high = count + 1
    below = 0.0
    for k in range(count + 1):
        below = min(below + math.exp(log_mass), 1.0)
        if low > count and below > error:
            low = k
        if below >= 1.0 - error:
            high = k + 1
            break
        log_mass += math.log((count - k) / (k + 1.0)) + log_odds if k < count else 0.0
    return (low if 1 <= low <= count else None), (high if high <= count else None)


def bounded_percentile(
    ordered: Sequence[float], percentile: float, confidence: float, effect: float
) -> dict[str, float]:
    """`value`, `low` and `high` of a percentile of ascending samples; 0 and infinity where nothing bounds a side."""
    count = len(ordered)
    effective = max(1, math.floor(count / effect))
    low_rank, high_rank = enclosing_ranks(effective, percentile, confidence)
    low, high = 0.0, math.inf
    if low_rank is not None:
        low = ordered[math.floor((low_rank - 1) / effective * count)]
    if high_rank is not None:
        high = ordered[min(count, math.ceil(high_rank / effective * count)) - 1]
    return {"value": nearest_rank_of(ordered, percentile), "low": low, "high": high}


def effect_of_clusters(
    samples: Sequence[float], percentile: float, limit: float | None = None, spacing: float = 1.0
) -> float:
    """Samples, in time order, that say as much of a percentile as one independent sample; at least 1."""
    count = len(samples)
    if count < 2 * LEAST_EXCEEDANCES:
        return 1.0
    ordered = sorted(samples)
    highest = 100.0 * (1.0 - max(1.0 - exact_share(percentile), LEAST_EXCEEDANCES / count))
    effect = _effect_above(samples, nearest_rank_of(ordered, highest), math.inf)
    memory = MEMORY_OF_A_QUEUE * nearest_rank_of(ordered, 99.0) / spacing
    for level in EARLY_PERCENTILES:
        if level < highest:
            effect = max(effect, _effect_above(samples, nearest_rank_of(ordered, level), memory))
    if limit is not None:
        overs = sum(sample > limit for sample in samples)
        if min(overs, count - overs) >= LEAST_EXCEEDANCES:
            effect = max(effect, _effect_above(samples, limit, math.inf))
    return effect


def _effect_above(samples: Sequence[float], threshold: float, longest_block: float) -> float:
    """The design effect, by batch means, of "above the threshold"."""
    count = len(samples)
    sums = [0]
    for sample in samples:
        sums.append(sums[-1] + (sample > threshold))
    share = sums[-1] / count
    variance = share * (1.0 - share)
    if variance <= 0.0:
        return 1.0
    ratios = [1.0]
    size = 2
    while count // size >= LEAST_BLOCKS and size <= longest_block:
        blocks = count // size
        first = count - blocks * size
        means = [(sums[first + (k + 1) * size] - sums[first + k * size]) / size for k in range(blocks)]
        mean = sum(means) / blocks
        ratios.append(sum((each - mean) ** 2 for each in means) / (blocks - 1) * size / variance)
        size *= 2
    last = ratios[-3:]
    growth = max((after / before for before, after in zip(last, last[1:]) if before > 0.0), default=1.0)  # noqa: B905, RUF007
    return min(max([*ratios, ratios[-1] * growth, 1.0]), float(count))
