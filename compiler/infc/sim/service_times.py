"""How long an execution takes, by its rows and by the size of an axis."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ServiceTable:
    """Seconds that a batch keeps an instance busy.

    `seconds[i][b-1]` is measured or predicted for a batch of b rows whose axis has size `axis_sizes[i]` (ascending);
    linear in the axis between two sizes, and beyond the largest as between the last two. With one size, the axis does
    not matter.
    """

    seconds: tuple[tuple[float, ...], ...]
    axis_sizes: tuple[int, ...] = (1,)
    _known: dict[tuple[int, int], float] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError for a table that is no function of positive times."""
        if len(self.seconds) != len(self.axis_sizes) or list(self.axis_sizes) != sorted(set(self.axis_sizes)):
            raise ValueError("a table needs one row of times for each of its axis sizes, which ascend")
        if not self.seconds or any(not row or min(row) <= 0.0 for row in self.seconds):
            raise ValueError("a service time must be positive")

    @staticmethod
    def of_batch(seconds: Sequence[float]) -> "ServiceTable":
        """A curve by batch size alone, from 1 on."""
        return ServiceTable(seconds=(tuple(seconds),))

    @property
    def largest_batch(self) -> int:
        """The largest batch size that every axis size has a time for."""
        return min(len(row) for row in self.seconds)

    def at(self, rows: int, axis_size: int) -> float:
        """Seconds for a batch of `rows` (up to the largest) at an axis size.

        >>> table = ServiceTable(seconds=((1.0, 1.5), (2.0, 3.5)), axis_sizes=(100, 200))
        >>> table.at(2, 150), table.at(1, 50), table.at(1, 300)
        (2.5, 1.0, 3.0)
        """
        if len(self.axis_sizes) == 1:
            return self.seconds[0][rows - 1]
        known = self._known.get((rows, axis_size))
        if known is None:
            known = self._known[rows, axis_size] = self._interpolated(rows, axis_size)
        return known

    def _interpolated(self, rows: int, axis_size: int) -> float:
        if axis_size <= self.axis_sizes[0]:
            return self.seconds[0][rows - 1]
        upper = min(bisect_left(self.axis_sizes, axis_size), len(self.axis_sizes) - 1)
        low, high = self.axis_sizes[upper - 1], self.axis_sizes[upper]
        low_s, high_s = self.seconds[upper - 1][rows - 1], self.seconds[upper][rows - 1]
        return max(low_s + (high_s - low_s) * (axis_size - low) / (high - low), min(low_s, high_s))
