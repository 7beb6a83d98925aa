"""What a Triton server counted over some time, and how sure its means are.

The statistics give sums, so a mean is exact, but not how far single requests lie apart. Readings within the window give
that: the mean of each stretch between two readings is known, and the spread of those bounds the whole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

from infc.diag import ToolError
from infc.serve.prometheus import Metrics
from infc.serve.statistics import ModelStatistics

CONFIDENCE = 0.95
FEWEST_STRETCHES = 6
"""Fewer stretches with requests bound nothing: Student's factor is large, and its series too short."""


@dataclass(frozen=True, kw_only=True)
class TritonReading:
    """One look at a server, `at_s` seconds after the first. `metrics` None: they were not found."""

    at_s: float
    statistics: ModelStatistics
    metrics: Metrics | None


@dataclass(frozen=True, kw_only=True)
class TritonWindow:
    """Readings in order. One reading: everything since the model was loaded, which the server does not date."""

    readings: tuple[TritonReading, ...]

    @property
    def is_since_start(self) -> bool:
        """Whether there is one reading only."""
        return len(self.readings) == 1

    @property
    def duration_s(self) -> float | None:
        """Seconds between the first and the last reading; None where there is one."""
        return None if self.is_since_start else self.readings[-1].at_s - self.readings[0].at_s

    @property
    def last(self) -> TritonReading:
        """The last reading."""
        return self.readings[-1]

    @cached_property
    def counted(self) -> ModelStatistics:
        """What was counted.

        Raises:
            ToolError: the counters went down: the model was loaded again meanwhile, or another server answered.
        """
        if self.is_since_start:
            return self.last.statistics
        found = self.last.statistics.since(self.readings[0].statistics)
        if found.requests < 0 or found.failures < 0:
            raise ToolError(
                "the counters went down between two readings: the model was loaded again, or another server answered",
                help="give the address of one server, not of a load balancer over several, and look again",
            )
        return found

    @cached_property
    def stretches(self) -> tuple[ModelStatistics, ...]:
        """What was counted between successive readings."""
        pairs = zip(self.readings, self.readings[1:], strict=False)
        return tuple(later.statistics.since(earlier.statistics) for earlier, later in pairs)

    def count_since(self, seconds: float) -> int:
        """Successful requests of the last `seconds`, at least: those after the first reading that is no older."""
        last = self.last
        start = next((each for each in self.readings if last.at_s - each.at_s <= seconds), last)
        return last.statistics.requests - start.statistics.requests


def mean_bounds_s(stretches: Sequence[tuple[float, int]], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """What encloses the mean behind several stretches, each a sum of seconds and how many it is of.

    None where fewer than six of them have any. Stretches are taken as independent.

    Source: ratio estimator (Cochran, Sampling Techniques, 6.4) with Student's t.

    >>> low, high = mean_bounds_s([(1.0, 10), (1.2, 10), (0.9, 10), (1.1, 10), (1.0, 10), (0.8, 10)])
    >>> round(low, 3), round(high, 3)
    (0.085, 0.115)
    """
    used = [(total, count) for total, count in stretches if count > 0]
    number = len(used)
    if number < FEWEST_STRETCHES:
        return None
    counts = sum(count for _, count in used)
    mean = sum(total for total, _ in used) / counts
    residual = sum((total - mean * count) ** 2 for total, count in used) / (number - 1)
    half = student_quantile(0.5 + confidence / 2.0, number - 1) * math.sqrt(number * residual) / counts
    return max(0.0, mean - half), mean + half


def student_quantile(probability: float, degrees: int) -> float:
    """A quantile of Student's t distribution, for five degrees of freedom or more within 0.5%.

    Source: Abramowitz and Stegun, 26.7.5.

    >>> round(student_quantile(0.975, 5), 2), round(student_quantile(0.975, 29), 3)
    (2.57, 2.045)
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / float(degrees) ** (power + 1) for power, term in enumerate(terms))
