"""From values to positions on a chart, with round ticks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LOG_FROM_RATIO = 8.0
_MOST_TICKS = 6
_LEAST = 1e-30
"""Smaller values count as zero: arithmetic near the smallest numbers underflows."""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A labelled position."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps `low`..`high` to positions `start`..`end` (which may run backwards), logarithmic where values span much."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool

    def at(self, value: float) -> float:
        """The position of a value; values outside are put at the border.

        >>> Scale(low=0.0, high=10.0, start=0.0, end=100.0, is_log=False).at(2.5)
        25.0
        """
        bounded = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log(bounded / self.low) / math.log(self.high / self.low)
        else:
            share = (bounded - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, words: Callable[[float], str]) -> tuple[Tick, ...]:
        """Round values between the ends, with `words` for a label."""
        values = _log_ticks(self.low, self.high) if self.is_log else _linear_ticks(self.low, self.high)
        return tuple(Tick(at=self.at(value), label=words(value)) for value in values)


def scale_for(values: Sequence[float], start: float, end: float, *, from_zero: bool = False) -> Scale:
    """A scale that shows all `values` (not negative) with some room; logarithmic where they span a lot.

    `from_zero` keeps it linear from zero, for lengths that are compared.
    """
    positive = [value for value in values if value > _LEAST]
    if not positive:
        return Scale(low=0.0, high=1.0, start=start, end=end, is_log=False)
    low, high = min(positive), max(positive)
    if from_zero:
        return Scale(low=0.0, high=high * 1.06, start=start, end=end, is_log=False)
    if high / low >= _LOG_FROM_RATIO:
        return Scale(low=low / 1.25, high=high * 1.25, start=start, end=end, is_log=True)
    room = 0.12 * (high - low) or 0.2 * high
    return Scale(low=max(0.0, low - room), high=high + room, start=start, end=end, is_log=False)


def linear_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """A linear scale that shows all `values`, negative ones too, with some room.

    >>> linear_scale([-1.0, 1.0], 0.0, 100.0).at(0.0)
    50.0
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return Scale(low=low - room, high=high + room, start=start, end=end, is_log=False)


def _linear_ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, at most six.

    >>> _linear_ticks(0.0, 1.1)
    [0.0, 0.5, 1.0]
    """
    rough = (high - low) / (_MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; only powers, or every other one, where that is too many.

    >>> _log_ticks(0.8, 30.0)
    [1.0, 2.0, 5.0, 10.0, 20.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        found = [float(f"{step * 10.0**power:.12g}") for power in powers[::every] for step in steps]
        found = [value for value in found if low <= value <= high]
        if len(found) <= _MOST_TICKS:
            break
    return found
