"""The promises of a spec as Prometheus watches them: which share of the requests may break one, and when to say so."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infc.emit.kubernetes.served import Goal, Served

AVAILABILITY = "availability"
_LOOSEST = 0.5


@dataclass(frozen=True, kw_only=True)
class Window:
    """One alert of several windows: budget burnt `factor` times too fast over both, in seconds.

    The long window says that it matters, the short one that it still goes on.
    """

    factor: float
    long_s: int
    short_s: int
    severity: Literal["critical", "warning"]


WINDOWS = (
    Window(factor=14.4, long_s=3_600, short_s=300, severity="critical"),
    Window(factor=6.0, long_s=21_600, short_s=1_800, severity="critical"),
    Window(factor=1.0, long_s=259_200, short_s=21_600, severity="warning"),
)
"""Two that page and one that makes a ticket.

Source: The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts", table 5-8: 2% of a month's
budget in an hour, 5% in six hours, 10% in three days.
"""
FEWEST_BAD = 10
"""Broken requests in the long window before an alert fires: of a service that few use, one slow request is no page."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One promise. `id` is the value of the label `goal`: p99, ttft p99, availability.

    `budget` is the share of requests that may break it. `goal` is None for availability.
    """

    id: str
    budget: float
    goal: Goal | None

    def alert_share(self, window: Window) -> float:
        """The share of broken requests from which an alert fires.

        Where the budget is so loose that the factor asks for nearly every request, it is half-way between the budget
        and all of them: a median that everybody misses is an outage too.
        """
        return round(min(window.factor * self.budget, (1.0 + self.budget) * _LOOSEST), 9)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The alerts that differ: of two with the same share, the one with the shorter windows."""
        kept: list[Window] = []
        for window in WINDOWS:
            if all(self.alert_share(window) < self.alert_share(other) for other in kept):
                kept.append(window)
        return tuple(kept)


def objectives_of(served: Served) -> tuple[Objective, ...]:
    """Every promise of a deployment: its latency goals in their order, then its availability."""
    return tuple(_objectives(served))


def _objectives(served: Served) -> Iterator[Objective]:
    for goal in served.goals:
        yield Objective(id=goal.label, budget=latency_budget(goal.percentile), goal=goal)
    if served.availability is not None and served.availability < 1.0:
        yield Objective(id=AVAILABILITY, budget=round(1.0 - served.availability, 9), goal=None)


def latency_budget(percentile: float) -> float:
    """The share of requests that may take longer than the limit of a percentile.

    >>> latency_budget(99.9)
    0.001
    """
    return round(1.0 - percentile / 100.0, 9)
