"""Drift of a cluster: the objects that a deployment has there against those that were emitted. Read-only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infc.diag import Diagnostic
from infc.emit.triton.kubernetes import COMPONENT as TRITON
from infc.lock import LockEntry
from infc.lock.drift import DriftReport
from infc.lock.drift.cluster import ClusterState, cluster_items
from infc.lock.drift.item import lock_item
from infc.lock.drift.manifests import ExpectedObject
from infc.lock.drift.objects import Key, ObjectValue, key_of
from infc.pipeline.drift.bundle import find_bundle
from infc.pipeline.drift.locked import LockedSpec, entry_of, open_locked, stale_inputs
from infc.pipeline.drift.manifests import expected_objects
from infc.serve.cluster_view import ClusterView, Wanted, view_cluster

_VLLM = "vllm"


@dataclass(frozen=True, kw_only=True)
class ClusterDriftRequest:
    """What to compare, in which context (None: kubectl's current one) and namespace (None: the manifests')."""

    spec: Path
    target: str | None = None
    context: str | None = None
    namespace: str | None = None
    bundle: Path | None = None


def cluster_drift(
    request: ClusterDriftRequest, *, announce: Callable[[str], None]
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    """Compare a cluster with a locked deployment: `kubectl get` only, nothing is written.

    Raises:
        ToolError: kubectl is not installed, or the cluster does not answer.
    """
    opened, problems = open_locked(request.spec)
    if opened is None:
        return None, problems
    entry, problems = entry_of(opened, request.target)
    if entry is None:
        return None, problems
    spec = opened.loaded.spec
    kubernetes = None if spec is None else spec.deploy.kubernetes
    if kubernetes is None:
        return None, (_no_objects(opened, entry),)
    bundle, problems = find_bundle(entry, request.bundle)
    if problems:
        return None, problems
    expected = tuple(expected_objects(bundle).values()) if bundle is not None else _named(entry, kubernetes.flavor)
    namespace = request.namespace or kubernetes.namespace
    announce(f"reading {namespace} of {request.context or 'the current context'}")
    view = view_cluster(request.context, namespace, _wanted(expected), _selector(entry))
    where = f"{request.context or 'current context'}, namespace {namespace}"
    stale = stale_inputs(opened, entry)
    return compare(opened, entry, expected, view, where, stale=stale, has_bundle=bundle is not None), ()


def compare(
    opened: LockedSpec,
    entry: LockEntry,
    expected: Sequence[ExpectedObject],
    view: ClusterView,
    where: str,
    *,
    stale: Sequence[str],
    has_bundle: bool,
) -> DriftReport:
    """Every comparison of what a cluster shows with a deployment; pure."""
    state = _state(view, where)
    return DriftReport(
        name=entry.name,
        target=entry.target,
        spec=opened.loaded.path.as_posix(),
        endpoint=where,
        server="Kubernetes objects",
        requests=0,
        duration_s=None,
        is_since_start=False,
        items=(lock_item(stale), *cluster_items(entry, expected, state, has_bundle=has_bundle)),
        objectives=(),
        notes=tuple(_notes(has_bundle)),
        subject="cluster",
    )


def _named(entry: LockEntry, flavor: str) -> tuple[ExpectedObject, ...]:
    """What is known of the workload without the bundle: its kind and name."""
    if flavor == "deployment":
        version, kind = "apps/v1", "Deployment"
    elif entry.choice.server == "triton":
        version, kind = "serving.kserve.io/v1beta1", "InferenceService"
    else:
        version, kind = "serving.kserve.io/v1alpha2", "LLMInferenceService"
    manifest: dict[str, ObjectValue] = {"apiVersion": version, "kind": kind, "metadata": {"name": entry.name}}
    return (ExpectedObject(key=(version.rpartition("/")[0], kind, entry.name), manifest=manifest, file=""),)


def _wanted(expected: Sequence[ExpectedObject]) -> tuple[Wanted, ...]:
    """One question for each kind, in the version that was emitted."""
    names: dict[tuple[str, str], list[str]] = {}
    for each in expected:
        group, kind, name = each.key
        version = str(each.manifest["apiVersion"]).rpartition("/")[2]
        resource = f"{kind.lower()}.{version}.{group}" if group else kind.lower()
        names.setdefault((kind, resource), []).append(name)
    return tuple(Wanted(kind=kind, resource=resource, names=tuple(own)) for (kind, resource), own in names.items())


def _selector(entry: LockEntry) -> Mapping[str, str]:
    """The labels that every object of the deployment has (`emit.kubernetes.objects.Identity`)."""
    component = TRITON if entry.choice.server == "triton" else _VLLM
    return {"app.kubernetes.io/name": entry.name, "app.kubernetes.io/component": component}


def _state(view: ClusterView, where: str) -> ClusterState:
    return ClusterState(
        where=where,
        objects=dict(_keyed(view.objects)),
        pods=view.pods,
        others=None if view.labelled is None else tuple(key for key, each in _keyed(view.labelled) if not _owned(each)),
        silent=view.silent,
    )


def _keyed(objects: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Key, Mapping[str, Any]]]:
    for each in objects:
        key = key_of(each)
        if key is not None:
            yield key, each


def _owned(manifest: Mapping[str, Any]) -> bool:
    """Whether a controller made it, such as the autoscaler that KEDA makes of a ScaledObject."""
    return bool(manifest.get("metadata", {}).get("ownerReferences"))


def _notes(has_bundle: bool) -> list[str]:
    if has_bundle:
        return ["every field that was emitted is compared; what an API server fills in and others' labels are not"]
    return ["the objects' fields were not compared: the compiled bundle is not at hand (--bundle)"]


def _no_objects(opened: LockedSpec, entry: LockEntry) -> Diagnostic:
    return Diagnostic(
        id="drift-cluster",
        message=f"{entry.label} has no Kubernetes objects: the spec asks for none",
        span=opened.loaded.span("deploy"),
        help="add deploy.kubernetes and compile, or look at its server with --endpoint",
    )
