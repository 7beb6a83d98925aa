"""How requests arrive: shared by the simulator, the load generator and the autoscaling settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

DAY_S = 86_400.0
PARTS = 24
MAX_STREAMS = 10_000
"""More constant senders than this are as good as a Poisson process."""
_MAX_CONCENTRATION = 500.0


@dataclass(frozen=True)
class ConstantArrival:
    """Evenly spaced requests of `streams` senders that know nothing of each other, such as cameras.

    The rate is of all of them together: each sends every `streams / rate` seconds, from a moment of its own on.
    """

    streams: int = 1


@dataclass(frozen=True)
class PoissonArrival:
    """Exponential gaps: independent users."""


@dataclass(frozen=True, kw_only=True)
class BurstyArrival:
    """Gamma-distributed gaps with coefficient of variation `cv` (> 0; 1 is Poisson)."""

    cv: float


@dataclass(frozen=True, kw_only=True)
class DiurnalArrival:
    """A rate that runs the same course in every period.

    `multipliers` of the mean rate hold over equal parts of `period_s`; their mean is 1. `cv` is that of the gaps once
    the course of the rate is divided out (1 is Poisson).
    """

    multipliers: tuple[float, ...]
    period_s: float = DAY_S
    cv: float = 1.0

    @property
    def peak_to_mean(self) -> float:
        """The largest multiplier: an SLO is judged at this multiple of the mean rate."""
        return max(self.multipliers)


@dataclass(frozen=True, kw_only=True)
class TraceArrival:
    """Requests replayed from a file, at the asked rate.

    `timestamps_s` are ascending and start at 0; `path` is as the user wrote it, for messages and digests. `sizes` holds
    what the trace says of each request, by column (`prompt_tokens`, `output_tokens`, `batch`, the name of an axis):
    one whole number from 1 on for each timestamp. `starts_at_s` is the time of day of the first request, in seconds
    after midnight (None: the trace does not say).
    """

    path: str
    timestamps_s: tuple[float, ...]
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    starts_at_s: float | None = None


Arrival: TypeAlias = ConstantArrival | PoissonArrival | BurstyArrival | DiurnalArrival | TraceArrival


def at_peak(arrival: Arrival) -> Arrival:
    """How requests arrive while the rate is at its peak, where an SLO is judged: a rate that does not change.

    >>> at_peak(DiurnalArrival(multipliers=(0.5, 1.5), cv=2.0))
    BurstyArrival(cv=2.0)
    """
    match arrival:
        case DiurnalArrival(cv=cv):
            return PoissonArrival() if cv == 1.0 else BurstyArrival(cv=cv)
        case ConstantArrival() | PoissonArrival() | BurstyArrival() | TraceArrival():
            return arrival
        case _:
            assert_never(arrival)


def diurnal_multipliers(peak_to_mean: float, parts: int = PARTS) -> tuple[float, ...]:
    """A smooth course with one peak in the middle of the period: multipliers with mean 1 and the asked maximum.

    The rate is proportional to exp(k cos(angle)), the von Mises density: close to a sine for small ratios, never
    negative for large ones.

    Args:
        peak_to_mean: at least 1 and below `parts`.
        parts: equal parts of the period.

    >>> [round(m, 2) for m in diurnal_multipliers(2.0, parts=6)]
    [0.35, 0.54, 1.29, 2.0, 1.29, 0.54]
    """
    if not 1.0 <= peak_to_mean < parts:
        raise ValueError(f"a peak of {peak_to_mean} times the mean does not fit {parts} parts")
    cosines = [math.cos(2.0 * math.pi * (part - parts // 2) / parts) for part in range(parts)]
    low, high = 0.0, _MAX_CONCENTRATION
    for _ in range(100):
        middle = (low + high) / 2.0
        low, high = (middle, high) if max(_course(middle, cosines)) < peak_to_mean else (low, middle)
    return _course(high, cosines) if peak_to_mean > 1.0 else (1.0,) * parts


def _course(concentration: float, cosines: list[float]) -> tuple[float, ...]:
    weights = [math.exp(concentration * (cosine - 1.0)) for cosine in cosines]
    mean = sum(weights) / len(weights)
    return tuple(weight / mean for weight in weights)
