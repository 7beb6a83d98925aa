"""What Prometheus computes all along: rates of requests and of broken ones, and the share of broken ones by window."""

from collections.abc import Iterator
from dataclasses import dataclass

from infc.emit.kubernetes.objects import Manifest
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.objectives import AVAILABILITY, WINDOWS, Objective, objectives_of
from infc.emit.monitoring.promql import duration, selector
from infc.emit.monitoring.scope import Scope
from infc.emit.monitoring.signals import Signals

REQUESTS = "infc:requests:rate1m"
REPLICAS = "infc:replicas:up"
BACKLOG = "infc:backlog:avg2m"
QUEUE_S = "infc:queue_seconds:mean1m"
JUDGED = "infc:slo_requests:rate1m"
BROKEN = "infc:slo_broken_requests:rate1m"
GOAL_LABEL = "goal"
RATIO_WINDOWS_S = tuple(sorted({window_s for window in WINDOWS for window_s in (window.long_s, window.short_s)}))


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording rule."""

    record: str
    expr: str
    labels: dict[str, str]

    def to_rule(self) -> Manifest:
        """The rule as Prometheus reads it."""
        return {"record": self.record, "expr": self.expr, "labels": dict(self.labels)}


def ratio_name(window_s: float) -> str:
    """The record of the share of broken requests over a window.

    >>> ratio_name(3600)
    'infc:slo_broken_ratio:avg1h'
    """
    return f"infc:slo_broken_ratio:avg{duration(window_s)}"


def recorded(name: str, scope: Scope, objective: Objective | None = None) -> str:
    """The recorded series of a deployment, or of one of its goals."""
    return selector(name, {**scope.recorded, **({} if objective is None else {GOAL_LABEL: objective.id})})


def rate_recordings(served: Served, signals: Signals, scope: Scope) -> Iterator[Recording]:
    """Rates over a minute."""
    own = dict(scope.recorded)
    yield Recording(record=REQUESTS, expr=signals.requests, labels=own)
    yield Recording(record=REPLICAS, expr=signals.replicas, labels=own)
    yield Recording(record=BACKLOG, expr=signals.backlog, labels=own)
    yield Recording(record=QUEUE_S, expr=signals.queue_s, labels=own)
    for objective in objectives_of(served):
        labels = own | {GOAL_LABEL: objective.id}
        is_availability = objective.id == AVAILABILITY
        judged = signals.requests if is_availability else signals.judged[objective.id]
        broken = signals.failed if is_availability else signals.late[objective.id]
        yield Recording(record=JUDGED, expr=judged, labels=labels)
        yield Recording(record=BROKEN, expr=broken, labels=labels)


def ratio_recordings(served: Served, scope: Scope) -> Iterator[Recording]:
    """Shares of broken requests, every request with the same weight; nothing where there was no request."""
    for objective in objectives_of(served):
        for window_s in RATIO_WINDOWS_S:
            yield Recording(
                record=ratio_name(window_s),
                expr=broken_share(scope, objective, duration(window_s)),
                labels=dict(scope.recorded) | {GOAL_LABEL: objective.id},
            )


def broken_share(scope: Scope, objective: Objective, window: str) -> str:
    """The share of the requests of a window that broke a promise."""
    broken = recorded(BROKEN, scope, objective)
    judged = recorded(JUDGED, scope, objective)
    return f"avg_over_time({broken}[{window}]) / (avg_over_time({judged}[{window}]) > 0)"
