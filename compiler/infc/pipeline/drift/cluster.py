"""Drift of a cluster: the objects that a deployment has there against those that were emitted. Read-only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from infc.diag import Diagnostic
from infc.ir.object_name import letter_first, object_name
from infc.ir.plan import Plan
from infc.lock import LockEntry
from infc.lock.drift import DriftItem, DriftReport
from infc.lock.drift.cluster import ClusterState, cluster_items
from infc.lock.drift.item import lock_item
from infc.lock.drift.manifests import ExpectedObject, object_item
from infc.lock.drift.objects import Key, ObjectValue, key_of
from infc.lock.drift.slug import slug
from infc.pipeline.drift.bundle import find_bundle
from infc.pipeline.drift.locked import LockedSpec, open_entry, resolve_locked, stale_inputs
from infc.pipeline.drift.manifests import expected_objects, object_files
from infc.pipeline.plan import locked_digest_from, plan_loaded
from infc.serve.cluster_view import ClusterView, Wanted, view_cluster


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
    locked, problems = open_entry(request.spec, request.target)
    if locked is None:
        return None, problems
    opened, entry = locked
    spec = opened.loaded.spec
    kubernetes = None if spec is None else spec.deploy.kubernetes
    if kubernetes is None:
        return None, (_no_objects(opened, entry),)
    bundle, problems = find_bundle(entry, request.bundle)
    if problems:
        return None, problems
    name = deployment_name(opened, entry)
    found = expected_objects(bundle) if bundle is not None else {}
    expected = tuple(found.values()) if bundle is not None else _named(entry, name, kubernetes.flavor)
    namespace = request.namespace or kubernetes.namespace
    announce(f"reading {namespace} of {request.context or 'the current context'}")
    view = view_cluster(request.context, namespace, _wanted(expected), _selector(entry, name))
    where = f"{request.context or 'current context'}, namespace {namespace}"
    stale = stale_inputs(opened, entry)
    report = compare(opened, entry, expected, view, where, stale=stale, has_bundle=bundle is not None)
    if bundle is None:
        return report, ()
    unknown = (path for path in object_files(entry) if path not in found)
    return replace(report, items=(*report.items, *map(_not_locked, unknown))), ()


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


def deployment_name(opened: LockedSpec, entry: LockEntry) -> str:
    """What the objects of a locked deployment are called (`ir.object_name`).

    The lock does not say which entry is the free choice. It is the one whose device `deploy.targets` does not name;
    where all are named it is planned again.
    """
    resolved, _ = resolve_locked(opened)
    named = set() if resolved is None else {each.options[0].hardware.id for each in resolved.targets.values()}
    free = [each for each in opened.entries if each.choice.hardware not in named]
    if entry in free or len(opened.entries) == 1:
        return object_name(entry.name, None)
    is_free = not free and _free_device(opened) == entry.choice.hardware
    return object_name(entry.name, None if is_free else entry.choice.hardware)


def _free_device(opened: LockedSpec) -> str | None:
    planned = plan_loaded(opened.loaded, {}, locked_digest=locked_digest_from(opened.lock))
    decisions = (each.decision for each in planned.decisions if each.target is None)
    return next((each.candidate.hardware_id for each in decisions if isinstance(each, Plan)), None)


def _not_locked(path: str) -> DriftItem:
    note = "the bundle's file is not the locked one: compile again"
    return object_item(f"file-{slug(path)}", path, "as locked", None, is_same=None, source="infc.lock", note=note)


def _named(entry: LockEntry, name: str, flavor: str) -> tuple[ExpectedObject, ...]:
    """What is known of the workload without the bundle: its kind and name."""
    if flavor == "deployment":
        version, kind = "apps/v1", "Deployment"
    elif entry.choice.server == "triton":
        version, kind = "serving.kserve.io/v1beta1", "InferenceService"
    else:
        version, kind = "serving.kserve.io/v1alpha2", "LLMInferenceService"
    own = name if flavor == "deployment" else letter_first(name, _component(entry))
    manifest: dict[str, ObjectValue] = {"apiVersion": version, "kind": kind, "metadata": {"name": own}}
    return (ExpectedObject(key=(version.rpartition("/")[0], kind, own), manifest=manifest, file=""),)


def _wanted(expected: Sequence[ExpectedObject]) -> tuple[Wanted, ...]:
    """One question for each kind, in the version that was emitted."""
    names: dict[tuple[str, str], list[str]] = {}
    for each in expected:
        group, kind, name = each.key
        version = str(each.manifest["apiVersion"]).rpartition("/")[2]
        resource = f"{kind.lower()}.{version}.{group}" if group else kind.lower()
        names.setdefault((kind, resource), []).append(name)
    return tuple(Wanted(kind=kind, resource=resource, names=tuple(own)) for (kind, resource), own in names.items())


def _component(entry: LockEntry) -> Literal["triton", "vllm"]:
    return "triton" if entry.choice.server == "triton" else "vllm"


def _selector(entry: LockEntry, name: str) -> Mapping[str, str]:
    """The labels that every object of the deployment has (`emit.kubernetes.objects.Identity`)."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": _component(entry)}


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
    return [
        "the objects' fields were not compared: the compiled bundle is not at hand (--bundle: its folder, or its"
        " kubernetes/ as it was committed)"
    ]


def _no_objects(opened: LockedSpec, entry: LockEntry) -> Diagnostic:
    return Diagnostic(
        id="drift-cluster",
        message=f"{entry.label} has no Kubernetes objects: the spec asks for none",
        span=opened.loaded.span("deploy"),
        help="add deploy.kubernetes and compile, or look at its server with --endpoint",
    )
