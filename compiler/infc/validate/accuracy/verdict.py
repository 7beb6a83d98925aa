"""From intervals to pass, fail or inconclusive, and how many samples would settle an open question."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from infc.ir.accuracy import SliceDelta, Verdict, is_lower_better
from infc.ir.interval import Interval
from infc.ir.problem import AccuracyGoal

POWER = 0.8
MAX_SAMPLES = 10_000_000


@dataclass(frozen=True, kw_only=True)
class _Criterion:
    """One bound of the goal: how far the measured value and its interval lie on the right side (negative: wrong)."""

    low_margin: float
    margin: float
    high_margin: float

    @property
    def verdict(self) -> Verdict:
        if self.low_margin >= 0.0:
            return Verdict.PASS
        return Verdict.FAIL if self.high_margin < 0.0 else Verdict.INCONCLUSIVE


def judge(value: Interval, drop: Interval, slices: Sequence[SliceDelta], goal: AccuracyGoal) -> Verdict:
    """Pass when the whole interval of everything that the goal bounds is on its right side.

    Fail when any lies wholly on the wrong side. All conditions must hold to pass, so testing several does not
    raise the chance of a false pass (intersection-union test: Berger, Technometrics 24, 1982). A limit on slices stays
    open where the data has none.

    >>> at = lambda v, w: Interval(value=v, low=v - w, high=v + w)
    >>> goal = AccuracyGoal(dataset="", metric="top1", floor=0.9, max_drop=0.01, confidence=0.95)
    >>> judge(at(0.92, 0.01), at(0.0, 0.001), (), goal).value
    'pass'
    >>> judge(at(0.92, 0.03), at(0.0, 0.001), (), goal).value
    'inconclusive'
    """
    verdicts = [criterion.verdict for criterion in _criteria(value, drop, slices, goal)]
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    has_no_slices = goal.max_slice_drop is not None and not slices
    return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts or has_no_slices else Verdict.PASS


def samples_needed(
    value: Interval, drop: Interval, slices: Sequence[SliceDelta], goal: AccuracyGoal, samples: int
) -> int | None:
    """The number of samples at which an open test settles with 80% probability, if the measured values are true.

    A bound comes nearer as 1 / sqrt(samples), each from its own side. Where a measured value is on the wrong side, the
    test settles as soon as one bound fails; else when all open ones pass, each with the power whose product is 80%.
    More samples are thought of as more of the same, also in every slice. None when nothing is open, or when a measured
    value sits so near its limit that no feasible number would do.
    """
    z = NormalDist().inv_cdf(0.5 + goal.confidence / 2.0)
    criteria = list(_criteria(value, drop, slices, goal))
    open_ones = [criterion for criterion in criteria if criterion.verdict is Verdict.INCONCLUSIVE]
    failing = [criterion for criterion in open_ones if criterion.margin <= 0.0]
    if not open_ones:
        return None
    if failing:
        factor = (z + NormalDist().inv_cdf(POWER)) / z
        needed = min(_multiple(each.high_margin - each.margin, each.margin, factor) for each in failing)
    else:
        factor = (z + NormalDist().inv_cdf(POWER ** (1.0 / len(open_ones)))) / z
        needed = max(_multiple(each.margin - each.low_margin, each.margin, factor) for each in open_ones)
    return None if samples * needed > MAX_SAMPLES else max(samples + 1, math.ceil(samples * needed))


def _multiple(half_width: float, gap: float, factor: float) -> float:
    """How many times the samples bring `factor` half-widths into the gap."""
    return (factor * half_width / gap) ** 2 if gap != 0.0 else math.inf


def _criteria(
    value: Interval, drop: Interval, slices: Sequence[SliceDelta], goal: AccuracyGoal
) -> Iterator[_Criterion]:
    if goal.floor is not None and is_lower_better(goal.metric):
        yield _under(value, goal.floor)
    elif goal.floor is not None:
        yield _Criterion(
            low_margin=value.low - goal.floor, margin=value.value - goal.floor, high_margin=value.high - goal.floor
        )
    if goal.max_drop is not None:
        yield _under(drop, goal.max_drop)
    if goal.max_slice_drop is not None:
        yield from (_under(part.drop, goal.max_slice_drop) for part in slices)


def _under(measured: Interval, limit: float) -> _Criterion:
    return _Criterion(low_margin=limit - measured.high, margin=limit - measured.value, high_margin=limit - measured.low)
