"""Autoscaling on queueing: bounds from the plan, thresholds and windows from the simulator."""

from infc.emit.autoscaling.decision import Decision, decide
from infc.emit.autoscaling.figures import planned_figures
from infc.emit.autoscaling.manifests import adapter_file, scaling_objects
from infc.emit.autoscaling.queries import wanted_replicas
from infc.emit.kubernetes.objects import Manifest
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.scope import scope_of
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem
from infc.ir.spec import Autoscale

__all__ = ["Decision", "autoscaling_files", "autoscaling_manifests", "decide", "planned_figures"]

ADAPTER_FILE = "monitoring/prometheus-adapter.yaml"


def autoscaling_manifests(
    served: Served, problem: AnyProblem, plan: Plan, options: Autoscale, *, target: Manifest | None = None
) -> dict[str, Manifest]:
    """The autoscaler of a deployment and what it needs in its namespace, by the name of their file.

    `target` is what is scaled, by default the Deployment of the deployment's name. Nothing else may set its replicas.
    """
    decision = decide(served, problem, plan, options)
    queries = wanted_replicas(served, decision, scope_of(served, is_in_cluster=True))
    scaled = target or {"apiVersion": "apps/v1", "kind": "Deployment", "name": served.identity.name}
    return scaling_objects(served, decision, queries, options, scaled)


def autoscaling_files(options: Autoscale) -> dict[str, bytes]:
    """What is configured once in a cluster, by path in the bundle: the rule of prometheus-adapter, where it is used."""
    return {ADAPTER_FILE: adapter_file()} if options.scaler == "hpa" else {}
