"""The course of a trace's rate over a period, such as the hours of a day."""

from dataclasses import dataclass

import numpy as np

from infc.ir.arrival import PARTS
from infc.sim.arrivals import Times

_BLOCKS_PER_PART = 6
_FEWEST_PERIODS = 0.98
_LEAST_RATIO = 3.0
"""How much more the parts must differ than the blocks within them do, as variances, to count as a course."""
_LEAST_PEAK = 1.1


@dataclass(frozen=True, kw_only=True)
class Course:
    """Multipliers of the mean rate over equal parts of a period; the trace starts `offset_s` into the first period."""

    multipliers: tuple[float, ...]
    period_s: float
    offset_s: float

    def rescaled(self, times_s: Times, rate_rps: float) -> Times:
        """Expected numbers of requests up to each time: a process with this course becomes one of rate 1."""
        part_s = self.period_s / len(self.multipliers)
        expected = np.concatenate([[0.0], np.cumsum(self.multipliers)]) * part_s * rate_rps
        periods, within_s = np.divmod(times_s + self.offset_s, self.period_s)
        knots_s = np.arange(len(expected)) * part_s
        return np.asarray(periods * expected[-1] + np.interp(within_s, knots_s, expected), dtype=np.float64)

    def log_rate(self, times_s: Times, rate_rps: float) -> float:
        """Sum over the requests of the log of the rate at their time."""
        parts = self._part(times_s)
        multipliers = np.maximum(np.asarray(self.multipliers), 1e-12)
        return float(np.log(multipliers * rate_rps)[parts].sum())

    def _part(self, times_s: Times) -> np.typing.NDArray[np.intp]:
        share = ((times_s + self.offset_s) % self.period_s) / self.period_s
        return np.minimum((share * len(self.multipliers)).astype(np.intp), len(self.multipliers) - 1)


def find_course(times_s: Times, period_s: float, offset_s: float) -> Course | None:
    """The course of the rate over a period, folded over all periods of the trace.

    None when the trace is shorter than a period, or when the parts of the period differ little more than the sixths of
    each part do among themselves (an analysis of variance): then it is bursts, not a course.
    """
    span_s = float(times_s[-1])
    if span_s < _FEWEST_PERIODS * period_s:
        return None
    block_s = period_s / PARTS / _BLOCKS_PER_PART
    first, last = int(np.ceil(offset_s / block_s)), int((span_s + offset_s) // block_s)
    edges_s = np.arange(first, last + 1) * block_s - offset_s
    counts = np.diff(np.searchsorted(times_s, edges_s)).astype(np.float64)
    parts = (np.arange(first, last) // _BLOCKS_PER_PART) % PARTS
    held = np.bincount(parts, minlength=PARTS)
    if len(counts) < 2 * PARTS or not held.all():
        return None
    means = np.bincount(parts, weights=counts, minlength=PARTS) / held
    within = float(((counts - means[parts]) ** 2).sum()) / (len(counts) - PARTS)
    between = float((held * (means - counts.mean()) ** 2).sum()) / (PARTS - 1)
    multipliers = means / means.mean()
    if between < _LEAST_RATIO * within or float(multipliers.max()) < _LEAST_PEAK:
        return None
    return Course(multipliers=tuple(multipliers.tolist()), period_s=period_s, offset_s=offset_s)
