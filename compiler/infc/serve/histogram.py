"""A histogram of a metrics page: what its buckets say about the values that were counted, and no more."""

import math
from dataclasses import dataclass

from infc.diag import ToolError


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of values at or under each edge, ascending; the last edge is infinite.

    `counts` are cumulative. `sum` is NaN where the page does not give it. Values are not negative (times, lengths), so
    the lowest bucket begins at 0 where its edge is positive.

    Raises:
        ValueError: the buckets contradict each other.
    """

    edges: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float
    count: float

    def __post_init__(self) -> None:
        if not self.edges or self.edges[-1] != math.inf:
            raise ValueError("there is no bucket for every value (le +Inf)")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("two buckets have the same edge")
        if not all(low <= high for low, high in zip((0.0, *self.counts), self.counts, strict=False)):
            raise ValueError("the count of a bucket is lower than that of the one before it")
        if self.counts[-1] != self.count or not math.isfinite(self.count):
            raise ValueError("the last bucket does not hold every value")

    @property
    def mean(self) -> float:
        """The mean of the values; NaN where nothing was counted.

        >>> Histogram(edges=(1.0, math.inf), counts=(1, 2), sum=3.0, count=2).mean
        1.5
        """
        return self.sum / self.count if self.count else math.nan

    def minus(self, earlier: "Histogram") -> "Histogram":
        """What was counted since an earlier reading of the same series.

        Raises:
            ToolError: it is not an earlier reading: the server restarted in between, or another one answered.
        """
        counts = self._combined(earlier, -1)
        rises = [high - low for low, high in zip((0.0, *counts), counts, strict=False)]
        if min(rises) < 0:
            raise ToolError(
                "the counts of the server went down between two readings: it restarted, or another one answered",
                help="read one server again, not a load balancer over several",
            )
        return Histogram(edges=self.edges, counts=counts, sum=self.sum - earlier.sum, count=self.count - earlier.count)

    def plus(self, other: "Histogram") -> "Histogram":
        """Both series as one.

        Raises:
            ToolError: they have different buckets.
        """
        counts = self._combined(other, 1)
        return Histogram(edges=self.edges, counts=counts, sum=self.sum + other.sum, count=self.count + other.count)

    def quantile_bounds(self, q: float) -> tuple[float, float]:
        """The bucket (low, high] of the quantile `q` (0 to 1): the value of rank ceil(q * count), lowest first.

        Raises:
            ValueError: nothing was counted.

        >>> Histogram(edges=(1.0, 2.0, math.inf), counts=(5, 9, 10), sum=12.0, count=10).quantile_bounds(0.9)
        (1.0, 2.0)
        """
        return self.rank_bounds(max(1, math.ceil(q * self.count - 1e-9)))

    def rank_bounds(self, rank: int) -> tuple[float, float]:
        """The bucket (low, high] of the value of this rank, 1 the lowest.

        Raises:
            ValueError: no value of this rank was counted.
        """
        if not 1 <= rank <= self.count:
            raise ValueError("no value of this rank was counted")
        index = next(place for place, counted in enumerate(self.counts) if counted >= rank)
        return self._low_edge(index), self.edges[index]

    def counted_at_most(self, limit: float) -> tuple[float, float]:
        """How many values are at or under `limit`, at least and at most; exact where it is an edge.

        >>> Histogram(edges=(1.0, 2.0, math.inf), counts=(5, 9, 10), sum=12.0, count=10).counted_at_most(1.5)
        (5, 9)
        """
        fewest = next((n for edge, n in zip(self.edges[::-1], self.counts[::-1], strict=True) if edge <= limit), 0)
        most = next(n for edge, n in zip(self.edges, self.counts, strict=True) if edge >= limit)
        return fewest, most

    def _low_edge(self, index: int) -> float:
        if index:
            return self.edges[index - 1]
        return 0.0 if self.edges[0] > 0 else -math.inf

    def _combined(self, other: "Histogram", sign: int) -> tuple[float, ...]:
        if self.edges != other.edges:
            raise ToolError("two readings of a histogram have different buckets: they are not of one server")
        return tuple(own + sign * theirs for own, theirs in zip(self.counts, other.counts, strict=True))
