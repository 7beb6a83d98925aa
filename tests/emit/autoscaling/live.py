"""What an emitted autoscaler asks Prometheus."""

from collections.abc import Mapping

from infc.emit.autoscaling.day import Day
from infc.emit.autoscaling.decision import Decision
from infc.emit.autoscaling.queries import wanted_replicas
from infc.emit.autoscaling.replica import Load
from infc.emit.autoscaling.thresholds import Thresholds
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.scope import scope_of


def decision() -> Decision:
    """A decision by hand: what the queries need."""
    edge = Load(rate_rps=100.0, worst=1.0, backlog=8.0, backlog_noise=9.0)
    target = Load(rate_rps=80.0, worst=0.5, backlog=2.0, backlog_noise=3.0)
    return Decision(
        fewest=1,
        most=4,
        redundancy=1,
        thresholds=Thresholds(
            edge=edge, target=target, backlog=5.0, growth=1.25, reaction_s=200.0, limited_by="the rise of the traffic"
        ),
        window_s=300.0,
        day=Day(mean_replicas=2.0, fewest=1, most=4, overloaded_s=0.0, flaps=0),
        words=("In words.",),
    )


def scaler_queries(served: Served) -> Mapping[str, str]:
    """The queries by reason, in a cluster."""
    found = wanted_replicas(served, decision(), scope_of(served, is_in_cluster=True))
    return {f"scaler/{reason}": query for reason, query in found.items()}
