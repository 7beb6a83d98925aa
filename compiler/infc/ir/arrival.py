"""How requests arrive: shared by the simulator, the load generator and the autoscaling settings."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class ConstantArrival:
    """Evenly spaced requests."""


@dataclass(frozen=True)
class PoissonArrival:
    """Exponential gaps: independent users."""


@dataclass(frozen=True, kw_only=True)
class BurstyArrival:
    """Gamma-distributed gaps with coefficient of variation `cv` (> 0; 1 is Poisson)."""

    cv: float


@dataclass(frozen=True, kw_only=True)
class TraceArrival:
    """Gaps replayed from a CSV file with a header and a `timestamp_s` column, scaled to the asked rate.

    `timestamps_s` are ascending and start at 0; `path` is as the user wrote it, for messages and digests.
    """

    path: str
    timestamps_s: tuple[float, ...]


Arrival: TypeAlias = ConstantArrival | PoissonArrival | BurstyArrival | TraceArrival
