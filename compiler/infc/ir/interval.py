"""A number with its uncertainty, and where it comes from."""

from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """Where an estimate comes from, best first."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    ANALYTIC = "analytic"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with the bounds that hold it at the stated confidence of its owner (90% unless said otherwise)."""

    value: float
    low: float
    high: float

    @staticmethod
    def exact(value: float) -> "Interval":
        """An interval of width zero, for numbers that are known."""
        return Interval(value=value, low=value, high=value)

    def plus(self, other: "Interval") -> "Interval":
        """The sum, with bounds as if both missed the same way.

        >>> Interval(value=2.0, low=1.0, high=4.0).plus(Interval.exact(3.0))
        Interval(value=5.0, low=4.0, high=7.0)
        """
        return Interval(value=self.value + other.value, low=self.low + other.low, high=self.high + other.high)

    def scaled(self, factor: float) -> "Interval":
        """The interval times a positive constant."""
        return Interval(value=self.value * factor, low=self.low * factor, high=self.high * factor)
