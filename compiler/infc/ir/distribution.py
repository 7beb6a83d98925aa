"""How latencies are distributed, and in which layers their time goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.ir.interval import Interval

LatencyMetric: TypeAlias = Literal["latency", "ttft", "tpot", "e2e"]
LayerName: TypeAlias = Literal[
    "transport", "queue", "compute input", "compute", "compute output", "prefill", "queue and prefill", "decode"
]
Curve: TypeAlias = tuple[tuple[float, float], ...]
"""(percent, seconds), ascending in both: so many percent of the requests took at most so long."""

PERCENTS = (
    0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 83.0,
    86.0, 88.0, 90.0, 92.0, 93.5, 95.0, 96.0, 97.0, 98.0, 98.5, 99.0, 99.3, 99.5, 99.7, 99.8, 99.9, 99.95, 99.99,
)  # fmt: skip
"""Where a distribution is read, closer together in the tail."""
FEWEST_BEYOND = 5
"""A percentile with fewer samples above it is not drawn: it is one or two requests."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A latency by percent of the requests, with its interval."""

    metric: LatencyMetric
    points: tuple[tuple[float, Interval], ...]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Mean seconds that a request spends in one layer."""

    name: LayerName
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a deployment is predicted to do at its peak, beyond percentiles: distributions by metric, and layers."""

    distributions: tuple[Distribution, ...]
    layers: tuple[Layer, ...]


def percents_of(samples: int) -> tuple[float, ...]:
    """The percents that so many samples say something about.

    >>> percents_of(1000)[-1], percents_of(4)
    (99.5, ())
    """
    return tuple(each for each in PERCENTS if samples * (1.0 - each / 100.0) >= FEWEST_BEYOND - 1e-9)


def curve_of(ordered: Sequence[float]) -> Curve:
    """The curve of ascending samples, nearest rank.

    >>> curve_of([float(n) for n in range(1, 11)])[-1]
    (50.0, 5.0)
    """
    count = len(ordered)
    return tuple((each, float(ordered[max(_rank(each, count), 1) - 1])) for each in percents_of(count))


def _rank(percent: float, count: int) -> int:
    """The nearest rank, from 1: the same as `sim.percentile.rank_of`."""
    return int(-(-(percent * count / 100.0 - 1e-9) // 1))
