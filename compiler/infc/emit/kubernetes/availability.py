"""What keeps a deployment up while nodes are drained and versions change: disruption budget, rolling update."""

from infc.emit.kubernetes.objects import Identity, Manifest
from infc.ir.plan import Plan
from infc.ir.problem import BaseProblem, Limits
from infc.plan.capacity import rollout


def disruption_budget(identity: Identity, limits: Limits) -> Manifest:
    """How many replicas a drain may take at once: as many as the plan lets fail with the SLO still met, at least one.

    `maxUnavailable` is said instead of `minAvailable`: at the planned replicas it is the same, and it stays right when
    an autoscaler changes them. A budget of none at all would block every drain for ever.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": identity.metadata(),
        "spec": {
            "maxUnavailable": max(1, limits.redundancy),
            "selector": {"matchLabels": identity.selector},
            # A replica that is not ready serves nobody: it must not hold up a drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def rolling_update(problem: BaseProblem, plan: Plan) -> Manifest:
    """How replicas are replaced: as the plan says it (`plan.capacity.rollout`), in its words and in its cost.

    A surge where a device is kept or can be had for the time; else a replica goes before its successor comes.
    """
    how = rollout(problem, plan)
    return {"maxSurge": how.max_surge, "maxUnavailable": how.max_unavailable}
