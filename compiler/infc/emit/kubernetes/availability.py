"""What keeps a deployment up while nodes are drained and versions change: disruption budget, rolling update."""

from infc.emit.kubernetes.objects import Identity, Manifest
from infc.ir.problem import Limits


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


def rolling_update(limits: Limits) -> Manifest:
    """How replicas are replaced, as the plan kept devices for it.

    Without a spare device a replica must go before its successor comes: as many as may be lost, at least one.
    """
    surge = limits.surge
    missing = limits.unavailable if limits.unavailable is not None else (0 if surge else limits.redundancy)
    return {"maxSurge": surge, "maxUnavailable": missing if surge or missing else 1}
