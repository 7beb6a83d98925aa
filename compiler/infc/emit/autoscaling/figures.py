"""The plan's figures that alerts and dashboards show."""

from infc.emit.autoscaling.replica import replica_of
from infc.emit.autoscaling.thresholds import edge_of
from infc.emit.kubernetes.served import Planned
from infc.emit.monitoring.signals import QUEUE_WINDOW_S
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem
from infc.plan.capacity import needed_replicas


def planned_figures(problem: AnyProblem, plan: Plan) -> Planned:
    """What is planned and simulated of a plan for Triton or vLLM; some simulations of one replica."""
    estimate = plan.estimate
    edge = edge_of(replica_of(problem, plan, QUEUE_WINDOW_S))
    tokens = estimate.tokens
    return Planned(
        needed=needed_replicas(problem, plan),
        most_backlog=edge.backlog or None,
        utilization=estimate.utilization,
        batch=estimate.mean_batch_size if tokens is None else tokens.running_sequences,
        usd_per_hour=None if estimate.cost is None else estimate.cost.usd_per_hour,
    )
