"""Objects of a cluster, read through kubectl: `kubectl get`, and nothing else."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from infc.build.builders.kubectl import KubectlReader
from infc.diag import ToolError

_AT_ONCE = 4
_LISTED = (
    "deployments.v1.apps,services,configmaps,networkpolicies.v1.networking.k8s.io,"
    "poddisruptionbudgets.v1.policy,horizontalpodautoscalers.v2.autoscaling"
)
"""Kinds that every cluster has and that infc emits."""
_NO_SUCH_KIND = "have a resource type"
_FORBIDDEN = "forbidden"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Objects of one kind: `resource` is what kubectl calls it, such as `deployment.v1.apps`."""

    kind: str
    resource: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """What was found. `silent` maps kinds that may not be read to why; kinds that a cluster lacks have no objects.

    `pods` and `labelled` (every object of the common kinds with the deployment's labels) are None where they may not
    be read.
    """

    objects: tuple[Mapping[str, Any], ...]
    pods: tuple[Mapping[str, Any], ...] | None
    labelled: tuple[Mapping[str, Any], ...] | None
    silent: Mapping[str, str]


def view_cluster(
    context: str | None, namespace: str, wanted: Sequence[Wanted], selector: Mapping[str, str]
) -> ClusterView:
    """Read the named objects, the pods with these labels, and what else has them.

    Raises:
        ToolError: kubectl is not installed, or the cluster does not answer.
    """
    name = f"k8s://{context}/{namespace}" if context else f"k8s://{namespace}"
    kubectl = KubectlReader(name, context=context, namespace=namespace, rights="get deployments")
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    questions = [(each.kind, [each.resource, *each.names]) for each in wanted]
    questions += [("Pod", ["pods", "--selector", labels]), ("*", [_LISTED, "--selector", labels])]
    silent: dict[str, str] = {}

    def ask(question: tuple[str, list[str]]) -> tuple[Mapping[str, Any], ...] | None:
        kind, what = question
        try:
            return _items(kubectl.get(what))
        except ToolError as error:
            text = str(error)
            if _NO_SUCH_KIND in text:
                return ()
            if _FORBIDDEN not in text.lower():
                raise
            silent[kind] = "it may not be read: " + text.rpartition("kubectl get: ")[2][:200]
            return None

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        *objects, pods, labelled = pool.map(ask, questions)
    found = tuple(each for own in objects for each in own or ())
    return ClusterView(objects=found, pods=pods, labelled=labelled, silent=silent)


def _items(answer: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    """The objects of an answer: one, or a list."""
    if answer is None:
        return ()
    return tuple(answer.get("items", ())) if str(answer.get("kind", "")).endswith("List") else (answer,)
