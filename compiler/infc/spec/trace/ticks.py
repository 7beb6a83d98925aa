"""Times that were rounded when they were written: spread over what was lost, or every tick would be a burst."""

import random
from itertools import pairwise
from math import gcd

_FEWEST = 20
_SHARED = 0.05
_SMALLEST_TICK_US = 100_000
_SEED = 2025


def spread_ticks(times_s: list[float]) -> tuple[list[float], float]:
    """Ascending times with the requests of one tick at random places within it, and the tick (0: there is none).

    A trace has a tick when at least one gap in twenty is zero and all gaps are multiples of a tenth of a second or
    more. Within a tick nothing is known but the number of requests; for a Poisson process they are then uniform.
    The same trace is always spread the same way.

    >>> spread_ticks([0.0, 0.25, 1.0])
    ([0.0, 0.25, 1.0], 0.0)
    """
    tick_us = _tick_us(times_s)
    if tick_us == 0:
        return times_s, 0.0
    tick_s = tick_us * 1e-6
    generator = random.Random(_SEED)  # noqa: S311 - not for secrets
    spread: list[float] = []
    start = 0
    for row in range(1, len(times_s) + 1):
        if row < len(times_s) and times_s[row] == times_s[start]:
            continue
        places = sorted(generator.random() for _ in range(row - start))
        spread += [times_s[start] + place * tick_s for place in places]
        start = row
    return spread, tick_s


def _tick_us(times_s: list[float]) -> int:
    gaps_us = [(late - early) * 1e6 for early, late in pairwise(times_s)]
    if len(times_s) < _FEWEST or sum(gap == 0 for gap in gaps_us) < _SHARED * len(gaps_us):
        return 0
    tick = 0
    for gap in gaps_us:
        tick = gcd(tick, round(gap))
        if 0 < tick < _SMALLEST_TICK_US:
            return 0
    return tick
