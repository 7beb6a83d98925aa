"""From intervals to pass, fail or inconclusive, and how many samples would settle an open question."""

import math
from collections.abc import Iterator
from statistics import NormalDist

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval

POWER = 0.8
MAX_SAMPLES = 10_000_000


def judge(value: Interval, drop: Interval, *, floor: float | None, max_drop: float | None) -> Verdict:
    """Pass when the whole interval of the value is at or above the floor and that of the drop at or under the limit.

    Fail when either lies wholly on the wrong side. All conditions must hold to pass, so testing several does not
    raise the chance of a false pass (intersection-union test: Berger, Technometrics 24, 1982).

    >>> at = lambda v, w: Interval(value=v, low=v - w, high=v + w)
    >>> judge(at(0.92, 0.01), at(0.0, 0.001), floor=0.9, max_drop=0.01).value
    'pass'
    >>> judge(at(0.92, 0.03), at(0.0, 0.001), floor=0.9, max_drop=0.01).value
    'inconclusive'
    """
    verdicts = [verdict for verdict, _ in _criteria(value, drop, floor, max_drop)]
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else Verdict.PASS


def samples_needed(
    value: Interval, drop: Interval, *, floor: float | None, max_drop: float | None, samples: int, confidence: float
) -> int | None:
    """The number of samples at which an inconclusive test settles with 80% probability, if the measured value is true.

    None when nothing is open, or when the measured value sits so near its limit that no feasible number would do.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    factor = (z + NormalDist().inv_cdf(POWER)) / z
    needed = 0.0
    for verdict, (half_width, gap) in _criteria(value, drop, floor, max_drop):
        if verdict is Verdict.INCONCLUSIVE:
            needed = max(needed, samples * (factor * half_width / gap) ** 2 if gap > 0 else math.inf)
    return None if needed == 0.0 or needed > MAX_SAMPLES else max(samples + 1, math.ceil(needed))


def _criteria(
    value: Interval, drop: Interval, floor: float | None, max_drop: float | None
) -> Iterator[tuple[Verdict, tuple[float, float]]]:
    if floor is not None:
        yield _one_sided(value.low - floor, value.high - floor), (_half(value), abs(value.value - floor))
    if max_drop is not None:
        yield _one_sided(max_drop - drop.high, max_drop - drop.low), (_half(drop), abs(max_drop - drop.value))


def _one_sided(low_margin: float, high_margin: float) -> Verdict:
    if low_margin >= 0.0:
        return Verdict.PASS
    return Verdict.FAIL if high_margin < 0.0 else Verdict.INCONCLUSIVE


def _half(interval: Interval) -> float:
    return (interval.high - interval.low) / 2.0
